internal import Checkpoints
internal import Formats

/// The cut layers of a stack, and the new numbers of the others.
struct LayerCut {
    /// The layers before the cut.
    let pattern: LayerPattern
    /// The layers that are cut.
    let cut: LayerRuns
    /// The file, for messages.
    let file: String

    /// The number of decoder layers before the cut.
    var count: Int { pattern.decoderCount }
    /// The number of decoder layers to cut; other cut layers are modules for multi-token prediction.
    var decoderCut: Int { cut.count(in: 0..<count) }
    /// The number of modules for multi-token prediction to cut.
    var predictorCut: Int { cut.count - decoderCut }
    /// The number of decoder layers after the cut.
    var countAfter: Int { count - decoderCut }
    /// The kept decoder layers, as runs of their old numbers.
    var keptRuns: [Range<Int>] { cut.gaps(in: 0..<count) }
    /// The kept decoder layers, by their old numbers.
    var kept: [Int] { keptRuns.flatMap { $0 } }

    /// The new number of a layer; `nil` when it is cut.
    func renumbered(_ layer: Int) -> Int? { cut.renumbered(layer) }

    /// A list with an entry for each layer, without the entries of cut layers.
    ///
    /// - Precondition: the list is at least as long as the decoder.
    func without<Element>(_ list: [Element]) -> [Element] {
        list.indices.filter { !cut.contains($0) }.map { list[$0] }
    }

    /// The error for a setting that cannot be adapted to the cut.
    func refused(_ key: String, _ why: String, hint: String? = nil) -> CheckpointError {
        CheckpointError(
            file: file, "'\(key)' \(why), so the layers \(cut.text) cannot be cut", hint: hint)
    }
}
