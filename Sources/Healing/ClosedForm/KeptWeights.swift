internal import Checkpoints
internal import Formats

/// Fitted weights in a file that an interrupted run leaves: the weights in f32, and what is known of them in the header.
struct KeptWeights {
    private let kept: KeptTensors

    /// The weights in a file.
    ///
    /// - Parameter identity: what decides them.
    init(identity: String, path: String) { kept = KeptTensors(identity: identity, path: path) }

    /// The weights in the file, and the header; `nil` without a file, and where something else decided them.
    ///
    /// - Throws: when the file cannot be read, or lacks a weight that its header names.
    func read() throws(CheckpointError) -> (weights: HealedWeights, header: JSON)? {
        guard let (file, header) = try kept.read(),
            let changes = header["changes"]?.array?.map(HealedWeights.Change.init(kept:))
        else { return nil }
        let weights = HealedWeights(
            changes: changes.compactMap(\.self), tensors: file.tensors, files: file.tensors.isEmpty ? [] : file.sources)
        let names = Set(file.tensors.map(\.name))
        if let lost = weights.changes.first(where: { !$0.isRejected && !names.contains($0.name) }) {
            throw CheckpointError(
                file: kept.path, tensor: lost.name, "is named by the header and not there",
                hint: "remove the file; its weights are fitted again")
        }
        return (weights, header)
    }

    /// Writes weights.
    ///
    /// - Parameter rest: what else the header holds.
    func write(
        _ weights: HealedWeights, _ rest: [(String, JSON)] = [], threads: Int
    ) throws(CheckpointError) {
        try kept.write(
            weights.tensors, in: weights.files, [("changes", .array(weights.changes.map(\.kept)))] + rest,
            threads: threads)
    }
}

extension HealedWeights.Change {
    fileprivate var kept: JSON {
        .object(
            JSONObject([
                ("layer", .int(layer)), ("name", .string(name)), ("ridge", JSON(optional: ridge)),
                ("gain", JSON(optional: gain)), ("isRejected", .bool(isRejected)),
            ]))
    }

    fileprivate init?(kept: JSON) {
        guard let layer = kept["layer"]?.int, let name = kept["name"]?.string, let isRejected = kept["isRejected"]?.bool
        else { return nil }
        self.init(
            layer: layer, name: name, ridge: kept["ridge"]?.double, gain: kept["gain"]?.double, isRejected: isRejected)
    }
}

extension JSON {
    /// A number; null where there is none.
    init(optional value: Double?) { self = value.map(JSON.double) ?? .null }
}
