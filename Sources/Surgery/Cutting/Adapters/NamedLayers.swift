internal import Checkpoints
internal import Formats

/// The layers that the tensors of an adapter or of an importance matrix name. There may be holes: such a file has tensors for
/// the layers that were trained or measured.
struct NamedLayers {
    /// What stands before the number in the names of the base, with the dot: `model.layers.`.
    let prefix: String
    /// The prefixes of other numbered parts, for example of a vision tower.
    let others: [String]
    /// The layers that are named.
    let layers: Set<Int>

    /// The number after the highest layer that is named.
    var count: Int { (layers.max() ?? -1) + 1 }

    /// Modules that training frameworks wrap around a model.
    private static let wrappers: Set<Substring> = ["_orig_mod", "_fsdp_wrapped_module"]

    /// Finds the layers of the language model, or those that `layerPrefix` chooses.
    ///
    /// - Throws: when no layer is named, or the names are of several parts that may be meant.
    init(of checkpoint: Checkpoint) throws(CheckpointError) {
        var order: [String] = [], found: [ExactString: Set<Int>] = [:]
        for tensor in checkpoint.tensors {
            guard let name = LayerName(tensor.name) else { continue }
            let prefix = NamedLayers.ownPrefix(name.prefix)
            if found[ExactString(prefix)] == nil { order.append(prefix) }
            found[ExactString(prefix), default: []].insert(name.layer)
        }
        order.removeAll { $0 == "" }
        let own = order.filter { !LayerChoice.namesOther($0) }
        var candidates = own.isEmpty ? order : own
        if let wanted = checkpoint.layerPrefix {
            let prefix = NamedLayers.ownPrefix(Substring(wanted.hasSuffix(".") ? wanted : wanted + "."))
            candidates = order.filter { $0 == prefix }
            guard !candidates.isEmpty else {
                throw CheckpointError(
                    file: checkpoint.path,
                    "has no tensors named \(prefix)0.…; numbered are \(NamedLayers.words(order))")
            }
        }
        guard let prefix = candidates.first else {
            throw CheckpointError(file: checkpoint.path, "names no layer by its number, so there is none to cut")
        }
        guard candidates.count == 1 else {
            throw CheckpointError(
                file: checkpoint.path, "names layers of several parts: \(NamedLayers.words(candidates))",
                hint: "choose one with --layer-prefix, for example --layer-prefix \(prefix.dropLast())")
        }
        self.prefix = prefix
        others = order.filter { $0 != prefix }
        layers = found[ExactString(prefix)] ?? []
    }

    private static func words(_ prefixes: [String]) -> String {
        prefixes.isEmpty ? "none" : prefixes.map { String($0.dropLast()) }.joined(separator: ", ")
    }

    /// A prefix as the base has it, without what adapters and training frameworks put before it or between.
    private static func ownPrefix(_ prefix: Substring) -> String {
        var parts = prefix.split(separator: ".")
        parts.removeAll(where: wrappers.contains)
        if parts.starts(with: ["base_model", "model"]) { parts.removeFirst(2) }
        return parts.map { $0 + "." }.joined()
    }

    /// The layer of a tensor or a module; `nil` outside the layers.
    func layer(of name: String) -> Int? {
        guard let parts = LayerName(name), NamedLayers.ownPrefix(parts.prefix) == prefix else { return nil }
        return parts.layer
    }

    /// A name after the cut; `nil` when it is of a layer that is cut.
    func followed(_ name: String, _ layers: LayerRuns) -> String? {
        guard let parts = LayerName(name), NamedLayers.ownPrefix(parts.prefix) == prefix else { return name }
        return layers.renumbered(parts.layer).map(parts.renumbered)
    }

    /// The tensors after the cut.
    func followed(_ tensors: [Tensor], _ layers: LayerRuns) -> [Tensor] {
        tensors.compactMap { tensor in
            guard let name = followed(tensor.name, layers) else { return nil }
            var tensor = tensor
            tensor.name = name
            return tensor
        }
    }
}
