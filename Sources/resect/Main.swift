internal import ArgumentParser
internal import Checkpoints
internal import Kernels

/// The entry point, which also prints errors.
@main
enum Main {
    static func main() {
        Signals.install()
        MappedFiles.surviveTruncation()
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            if let name = InstructionSet.refusedRequest {
                throw CheckpointError(
                    file: "RESECT_CPU", "'\(name)' is not an instruction set of this CPU",
                    hint: "available: \(InstructionSet.available.map { "\($0)" }.joined(separator: " "))")
            }
            if arguments.isEmpty { throw CleanExit.message(HelpText.short) }
            try CommandLineNames.checkEncoding()
            try CommandLineNames.check(arguments)
            var command = try Resect.parseAsRoot(arguments)
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
        } catch let error as UsageError {
            error.say()
            Signals.leave(status: usageStatus)
        } catch {
            Output.flush()
            leave(error, arguments)
        }
    }

    /// The status of a command line that resect does not take: EX_USAGE.
    private static let usageStatus: Int32 = 64

    /// Ends with what the parser or a command threw: help, a status, or wrong usage.
    private static func leave(_ error: any Error, _ arguments: [String]) -> Never {
        let command = CommandLineNames.command(in: arguments)
        switch Resect.exitCode(for: error).rawValue {
        case 0:
            Output.line(HelpText.text(for: error, command: command))
            Output.flush()
            Signals.leave(status: 0)
        case usageStatus:
            UsageError(error, command: command, arguments: arguments).say()
            Signals.leave(status: usageStatus)
        case let status:
            Signals.leave(status: status)
        }
    }
}
