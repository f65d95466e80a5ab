internal import Checkpoints
internal import Formats

/// A finished heal in a file: the fitted weights in f32, and the rest in the header.
struct KeptHeal {
    private static let key = "resect.heal"
    /// What decides the heal.
    let identity: String
    let path: String

    /// The heal in the file; `nil` without one, and for another heal.
    ///
    /// - Throws: when the file cannot be read.
    func read() throws(CheckpointError) -> ClosedForm.Result? {
        guard FileSystem.kind(of: path) != .missing else { return nil }
        let file = try Checkpoint.open(path)
        guard case .safetensors(let header) = file.container, let text = header?[KeptHeal.key]?.string,
            let object = try? JSON.parse(text), object["identity"]?.string == identity,
            let changes = object["changes"]?.array?.map(HealedWeights.Change.init(kept:)),
            let contexts = object["contexts"]?.int, let tokens = object["tokens"]?.int,
            let widest = object["widestInput"]?.int, let experts = object["layersOfExperts"]?.int
        else { return nil }
        return ClosedForm.Result(
            weights: HealedWeights(changes: changes.compactMap(\.self), tensors: file.tensors, files: file.sources),
            wholeLoss: object["wholeLoss"]?.double, cutLoss: object["cutLoss"]?.double,
            healedLoss: object["healedLoss"]?.double, contexts: contexts, tokens: tokens, widestInput: widest,
            layersOfExperts: experts)
    }

    /// Writes a heal.
    func write(_ result: ClosedForm.Result, threads: Int) throws(CheckpointError) {
        let object = JSONObject([
            ("identity", .string(identity)), ("changes", .array(result.weights.changes.map(\.kept))),
            ("wholeLoss", .optional(result.wholeLoss)), ("cutLoss", .optional(result.cutLoss)),
            ("healedLoss", .optional(result.healedLoss)), ("contexts", .int(result.contexts)),
            ("tokens", .int(result.tokens)), ("widestInput", .int(result.widestInput)),
            ("layersOfExperts", .int(result.layersOfExperts)),
        ])
        let header = JSONObject([(KeptHeal.key, .string(JSON.object(object).compact))])
        let file = try Checkpoint(
            named: "the healed weights", container: .safetensors(header: header), tensors: result.weights.tensors,
            sources: result.weights.files)
        try CheckpointWriter(replaces: true, threads: threads).write(OutputPlan(file), to: path)
    }
}

extension JSON {
    fileprivate static func optional(_ value: Double?) -> JSON { value.map(JSON.double) ?? .null }
}

extension HealedWeights.Change {
    fileprivate var kept: JSON {
        .object(
            JSONObject([
                ("layer", .int(layer)), ("name", .string(name)), ("ridge", .optional(ridge)), ("gain", .optional(gain)),
                ("isRejected", .bool(isRejected)),
            ]))
    }

    fileprivate init?(kept: JSON) {
        guard let layer = kept["layer"]?.int, let name = kept["name"]?.string, let isRejected = kept["isRejected"]?.bool
        else { return nil }
        self.init(
            layer: layer, name: name, ridge: kept["ridge"]?.double, gain: kept["gain"]?.double, isRejected: isRejected)
    }
}
