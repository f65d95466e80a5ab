internal import ArgumentParser
internal import Checkpoints

/// Where the program starts, and where its errors end.
@main
enum Main {
    static func main() {
        Signals.install()
        do {
            var command = try Resect.parseAsRoot()
            try command.run()
            Output.flush()
        } catch let error as CheckpointError {
            Output.flush()
            Output.complain(error)
            Signals.leave(status: 2)
        } catch {
            Output.flush()
            Resect.exit(withError: error)
        }
    }
}
