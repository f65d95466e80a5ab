internal import ArgumentParser
internal import Checkpoints
internal import Kernels

/// Where the program starts, and where its errors end.
@main
enum Main {
    static func main() {
        Signals.install()
        Sources.surviveTruncation()
        do {
            if let name = InstructionSet.refusedRequest {
                throw CheckpointError(
                    file: "RESECT_CPU", "'\(name)' is not an instruction set that runs here",
                    hint: "those that do: \(InstructionSet.available.map { "\($0)" }.joined(separator: " "))")
            }
            var command = try Resect.parseAsRoot()
            try command.run()
            if let problem = Sources.problem { throw problem }
            Output.flush()
        } catch let error as CheckpointError {
            // What a changed file made of the reading matters less than that it changed.
            let changed = Sources.problem
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
