internal import ArgumentParser
internal import Checkpoints

/// Where the program starts, and where its errors end.
@main
enum Main {
    static func main() {
        Signals.install()
        Sources.surviveTruncation()
        do {
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
