internal import Checkpoints
internal import Formats

/// A LoRA adapter as a folder that PEFT loads: what is stored, and the settings that say it.
struct AdapterFolder: Sendable {
    /// The low-rank change `B A` of the weight of a module.
    struct Pair: Sendable {
        /// The module, as the base names it.
        let module: String
        /// A, [rank, inputs]; of an embedding [rank, rows].
        let a: Tensor
        /// B, [outputs, rank]; of an embedding [columns, rank].
        let b: Tensor
        /// The factor of their product.
        var scale: Float = 1
        /// Whether the module is an embedding.
        var isEmbedding = false

        /// Rows of A and columns of B.
        var rank: Int { a.shape[0] }
        /// The number that gives the scale when PEFT divides it by the rank.
        fileprivate var alpha: Double { Double(SharedAlpha.alpha(scale: scale, rank: rank)) }
    }

    /// The changes, in the order of the file.
    var pairs: [Pair] = []
    /// Modules that are stored whole, with their tensors as the base names them.
    var wholes: [(module: String, tensors: [Tensor])] = []
    /// Biases of modules with a change; all of them where one is stored.
    var biases: [(module: String, tensor: Tensor)] = []
    /// Whether the weights are stored [inputs, outputs], as in Conv1D.
    var fanInFanOut = false
    /// The numerator of all scales and the dropout of a training; without one every pair has a scale of its own.
    var training: (alpha: Double, dropout: Double)?
    /// What the base is called in the settings.
    var baseName: String?
    /// The files that its tensors read.
    var sources: [MappedFile] = []

    private static let prefix = "base_model.model."

    /// The folder.
    ///
    /// - Parameters:
    ///   - path: what messages call it.
    ///   - modules: all modules of the base.
    /// - Throws: when a list of PEFT cannot name the modules and no others.
    func checkpoint(path: String, modules: ModuleTree) throws(CheckpointError) -> Checkpoint {
        var config = JSONObject([
            ("alpha_pattern", .object(JSONObject())), ("base_model_name_or_path", baseName.map(JSON.string) ?? .null),
            ("bias", .string(biases.isEmpty ? "none" : "lora_only")), ("fan_in_fan_out", .bool(fanInFanOut)),
            ("inference_mode", .bool(true)), ("init_lora_weights", .bool(true)),
        ])
        // Where most modules have one rank the patterns name the others.
        let rank = AdapterFolder.mostCommon(pairs.map(\.rank)) ?? 1
        let alpha = training?.alpha ?? AdapterFolder.mostCommon(pairs.map(\.alpha)) ?? 1
        config["lora_alpha"] = AdapterFolder.number(alpha)
        config["lora_dropout"] = .double(training?.dropout ?? 0)
        let saved = try modules.endings(naming: wholes.map(\.module), anywhere: true, path: path)
        config["modules_to_save"] = saved.isEmpty ? .null : .array(saved.map(JSON.string))
        config["peft_type"] = .string("LORA")
        config["r"] = .int(rank)
        var (ranks, alphas) = (JSONObject(), JSONObject())
        for pair in pairs {
            let key = modules.patternKey(pair.module)
            if pair.rank != rank { ranks[key] = .int(pair.rank) }
            if training == nil, pair.alpha != alpha { alphas[key] = AdapterFolder.number(pair.alpha) }
        }
        config["rank_pattern"] = .object(ranks)
        config["alpha_pattern"] = .object(alphas)
        config["target_modules"] = .array(
            try modules.endings(naming: pairs.map(\.module), anywhere: false, path: path).map(JSON.string))
        config["task_type"] = .string("CAUSAL_LM")
        config["use_dora"] = .bool(false)
        config["use_rslora"] = .bool(false)
        let companion = Checkpoint.Companion(
            name: "adapter_config.json", contents: Array(JSON.object(config).pretty.utf8))
        var result = Checkpoint(
            path: path,
            container: .folder(
                .init(headerMetadata: JSONObject([("format", .string("pt"))]), companions: [companion])),
            tensors: tensors, sources: sources)
        result.weightsName = "adapter_model"
        result.content = .adapter(kind: "lora", base: baseName)
        return result
    }

    /// The value of most pairs, of several the highest.
    private static func mostCommon<Value: Hashable & Comparable>(_ values: [Value]) -> Value? {
        var counts: [Value: Int] = [:]
        for value in values { counts[value, default: 0] += 1 }
        return counts.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
    }

    /// A number, without a fraction where it is whole.
    private static func number(_ value: Double) -> JSON { Int(exactly: value).map(JSON.int) ?? .double(value) }

    /// All tensors under the names that PEFT gives them.
    private var tensors: [Tensor] {
        func named(_ tensor: Tensor, _ name: String) -> Tensor {
            var tensor = tensor
            tensor.name = AdapterFolder.prefix + name
            return tensor
        }
        return pairs.flatMap { pair in
            let names =
                pair.isEmbedding ? [".lora_embedding_A", ".lora_embedding_B"] : [".lora_A.weight", ".lora_B.weight"]
            return zip([pair.a, pair.b], names).map { named($0, pair.module + $1) }
        } + biases.map { named($0.tensor, $0.module + ".base_layer.bias") }
            + wholes.flatMap { whole in whole.tensors.map { named($0, $0.name) } }
    }
}
