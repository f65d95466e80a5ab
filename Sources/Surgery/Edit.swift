public import Checkpoints

/// One change to a checkpoint. It takes one and returns another; no weight is read.
public protocol Edit: Sendable {
    /// The checkpoint after the edit.
    ///
    /// - Throws: when the edit cannot be done right; the checkpoint is as it was.
    func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint
}

extension Checkpoint {
    /// The checkpoint after some edits, in order.
    public func applying(_ edits: [any Edit]) throws(CheckpointError) -> Checkpoint {
        var result = self
        for edit in edits { result = try edit.apply(to: result) }
        return result
    }
}
