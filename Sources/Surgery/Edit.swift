public import Checkpoints

/// A change to a checkpoint: takes one and returns another, without reading weights.
public protocol Edit: Sendable {
    /// The checkpoint after the edit.
    ///
    /// - Throws: when the edit cannot be done correctly.
    func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint
}

extension Checkpoint {
    /// The checkpoint after the edits, applied in order.
    public func applying(_ edits: [any Edit]) throws(CheckpointError) -> Checkpoint {
        var result = self
        for edit in edits { result = try edit.apply(to: result) }
        return result
    }
}
