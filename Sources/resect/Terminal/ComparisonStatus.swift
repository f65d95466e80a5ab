internal import ArgumentParser
internal import Checkpoints

/// The exit status of a command that compares checkpoints.
enum ComparisonStatus {
    /// Exits with status 1 when the checkpoints differ; with an error when a file changed during the comparison.
    static func exit(isEqual: Bool) throws {
        if isEqual { return }
        if let problem = MappedFiles.problem { throw problem }
        throw ExitCode(1)
    }
}
