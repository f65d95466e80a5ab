internal import Checkpoints
internal import Formats

/// Which layers of a stack are cut, and what becomes of the numbers of the others.
struct LayerCut {
    /// The layers before the cut.
    let pattern: LayerPattern
    /// The layers that are cut.
    let cut: LayerRuns
    /// The file, for messages.
    let file: String

    /// How many layers the decoder had.
    var count: Int { pattern.decoderCount }
    /// How many layers of the decoder are cut; the others are modules for multi-token prediction.
    var decoderCut: Int { cut.count(in: 0..<count) }
    /// How many modules for multi-token prediction are cut.
    var predictorCut: Int { cut.count - decoderCut }
    /// How many layers of the decoder are left.
    var countAfter: Int { count - decoderCut }
    /// The layers of the decoder that are left, as runs of the numbers they had.
    var keptRuns: [Range<Int>] { cut.gaps(in: 0..<count) }
    /// The layers of the decoder that are left, by the number they had.
    var kept: [Int] { keptRuns.flatMap { $0 } }

    /// The new number of a layer; `nil` when it is cut.
    func renumbered(_ layer: Int) -> Int? { cut.renumbered(layer) }

    /// A list with an entry for each layer, without those of the cut ones.
    ///
    /// - Precondition: the list is at least as long as the decoder.
    func without<Element>(_ list: [Element]) -> [Element] {
        list.indices.filter { !cut.contains($0) }.map { list[$0] }
    }

    /// The error for a setting that cannot follow.
    func refused(_ key: String, _ why: String, hint: String? = nil) -> CheckpointError {
        CheckpointError(
            file: file, "'\(key)' \(why), so the layers \(cut.text) cannot be cut", hint: hint)
    }
}
