internal import ArgumentParser
internal import Checkpoints

/// The end of a command that answers yes or no.
enum Answer {
    /// Ends the program with exit status 1 when the answer is no, unless a file changed while it was found.
    static func leave(isYes: Bool) throws {
        if isYes { return }
        if let problem = Sources.problem { throw problem }
        throw ExitCode(1)
    }
}
