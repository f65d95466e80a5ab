internal import Checkpoints
internal import Formats

/// Fitted weights in a file that an interrupted run leaves: the weights in f32, and what is known of them in the header.
struct KeptWeights {
    private static let key = "resect.heal"
    /// What decides the weights.
    let identity: String
    let path: String

    /// The weights in the file, and the header; `nil` without a file, and where something else decided them.
    ///
    /// - Throws: when the file cannot be read.
    func read() throws(CheckpointError) -> (weights: HealedWeights, header: JSON)? {
        guard FileSystem.kind(of: path) != .missing else { return nil }
        let file = try Checkpoint.open(path)
        guard case .safetensors(let metadata) = file.container, let text = metadata?[KeptWeights.key]?.string,
            let header = try? JSON.parse(text), header["identity"]?.string == identity,
            let changes = header["changes"]?.array?.map(HealedWeights.Change.init(kept:))
        else { return nil }
        let weights = HealedWeights(
            changes: changes.compactMap(\.self), tensors: file.tensors, files: file.tensors.isEmpty ? [] : file.sources)
        return (weights, header)
    }

    /// Writes weights.
    ///
    /// - Parameter rest: what else the header holds.
    func write(
        _ weights: HealedWeights, _ rest: [(String, JSON)] = [], threads: Int
    ) throws(CheckpointError) {
        let object = JSONObject(
            [("identity", .string(identity)), ("changes", .array(weights.changes.map(\.kept)))] + rest)
        let header = JSONObject([(KeptWeights.key, .string(JSON.object(object).compact))])
        let file = try Checkpoint(
            named: "the healed weights", container: .safetensors(header: header), tensors: weights.tensors,
            sources: weights.files)
        try CheckpointWriter(replaces: true, threads: threads).write(OutputPlan(file), to: path)
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
