package import Checkpoints
internal import Formats

extension Checkpoint {
    /// A note for a user whose quantized weights are stored as floats after an edit; `nil` when none are.
    ///
    /// - Parameter source: the checkpoint before the edit.
    package func wideningNote(since source: Checkpoint) -> String? {
        let widened = tensors.filter { !$0.dtype.isQuantized && $0.quantizedSource != nil }
        guard !widened.isEmpty, byteCount > source.byteCount else { return nil }
        func names(_ names: [String]) -> String { Set(names).sorted().joined(separator: " and ") }
        let before = names(widened.compactMap(\.quantizedSource)), after = names(widened.map(\.dtype.name))
        return
            "\(counted(widened.count, "weight")) in \(before) \(widened.count == 1 ? "is" : "are") written as \(after), "
            + "which takes \((byteCount - source.byteCount).grouped) bytes more; quantize stores fewer bits"
    }
}
