extension CheckpointError {
    /// What work throws when the task that runs it was cancelled.
    public static let cancelled = CheckpointError("the work was cancelled")

    /// Throws `cancelled` when the task that runs this was cancelled: between layers, and between rows that are written.
    package static func checkCancellation() throws(CheckpointError) {
        if Task.isCancelled { throw .cancelled }
    }
}
