internal import ArgumentParser
internal import Checkpoints
internal import Kernels

/// The entry point, which also prints errors.
@main
enum Main {
    static func main() {
        Signals.install()
        MappedFiles.surviveTruncation()
        do {
            if let name = InstructionSet.refusedRequest {
                throw CheckpointError(
                    file: "RESECT_CPU", "'\(name)' is not an instruction set of this CPU",
                    hint: "available: \(InstructionSet.available.map { "\($0)" }.joined(separator: " "))")
            }
            var command = try Resect.parseAsRoot()
            try command.run()
            if let problem = MappedFiles.problem { throw problem }
            Output.flush()
        } catch let error as CheckpointError {
            // A change of an input file explains any other error, so report it first.
            let changed = MappedFiles.problem
            if changed != nil { Output.discard() }
            Output.flush()
            Output.complain(changed ?? error)
            Signals.leave(status: 2)
        } catch {
            Output.flush()
            Resect.exit(withError: error)
        }
    }
}
