internal import Checkpoints
internal import Decoder

/// What a heal has fitted so far, in a file for each part of a layer, so that an interrupted heal goes on behind it.
///
/// The hidden states are computed again; the sums over them, which take most of the time, are not. The weights are kept as the
/// decoder multiplies by them, so that the states are the same to the last bit.
struct KeptFits {
    private let identity: String
    /// What the paths of all files begin with.
    private let prefix: String

    /// The fits of a heal.
    init(identity: String, prefix: String) { (self.identity, self.prefix) = (identity, prefix) }

    /// What was fitted in a part of a layer; `nil` where an earlier run did not come so far.
    ///
    /// - Throws: when a file cannot be read.
    func read(_ part: StreamPart, of layer: Int) throws(CheckpointError) -> HealedWeights? {
        try file(part, of: layer).read()?.weights
    }

    /// Writes what was fitted in a part of a layer.
    func write(_ weights: HealedWeights, _ part: StreamPart, of layer: Int, threads: Int) throws(CheckpointError) {
        try file(part, of: layer).write(weights, threads: threads)
    }

    private func file(_ part: StreamPart, of layer: Int) -> KeptWeights {
        KeptWeights(identity: identity, path: KeptTensors.path(prefix, "\(layer)-\(part)"))
    }
}
