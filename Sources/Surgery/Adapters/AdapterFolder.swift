internal import Checkpoints
internal import Formats

/// A LoRA adapter as a folder that PEFT loads: its tensors and adapter_config.json.
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
    }

    /// The low-rank changes of a parameter that holds the weights of all experts of a layer.
    struct Stack: Sendable {
        /// The module of the experts, as runtimes name it.
        let module: String
        /// The parameter in it.
        let parameter: String
        /// The changes.
        let matrices: ExpertMatrices
        /// The factor of their products.
        var scale: Float = 1
        /// The name of the parameter, as runtimes have it.
        var name: String { module + "." + parameter }
    }

    /// The changes, in the order of the file.
    var pairs: [Pair] = []
    /// The changes of experts, for each module in the order of its parameters.
    var stacks: [Stack] = []
    /// All parameters of experts that the base has, as runtimes name them.
    var expertParameters: [String] = []
    /// Modules that are stored whole, with their tensors under the names in the base.
    var wholes: [(module: String, tensors: [Tensor])] = []
    /// Biases of modules with a low-rank change: those of all such modules, or none.
    var biases: [(module: String, tensor: Tensor)] = []
    /// Whether the weights are stored [inputs, outputs], as in Conv1D.
    var fanInFanOut = false
    /// The numerator of all scales and the dropout, when the adapter comes from a training; otherwise every pair has
    /// its own scale.
    var training: (alpha: Double, dropout: Double)?
    /// The name of the base in the settings.
    var baseName: String?
    /// The files that its tensors read.
    var sources: [MappedFile] = []

    private static let prefix = "base_model.model."

    /// The folder.
    ///
    /// - Parameters:
    ///   - path: what messages call it.
    ///   - modules: all modules of the base.
    /// - Throws: when no list of name endings selects exactly these modules.
    func checkpoint(path: String, modules: ModuleTree) throws(CheckpointError) -> Checkpoint {
        var config = JSONObject([
            ("alpha_pattern", .object(JSONObject())), ("base_model_name_or_path", baseName.map(JSON.string) ?? .null),
            ("bias", .string(biases.isEmpty ? "none" : "lora_only")), ("fan_in_fan_out", .bool(fanInFanOut)),
            ("inference_mode", .bool(true)), ("init_lora_weights", .bool(true)),
        ])
        // The settings have the most common rank; patterns name the modules with another one.
        let parameters = ModuleTree(names: expertParameters.map { $0 + ".weight" })
        let sizes = try sizes(modules, parameters)
        let rank = AdapterFolder.mostCommon(sizes.map(\.rank)) ?? 1
        let alpha = training?.alpha ?? AdapterFolder.mostCommon(sizes.map(\.alpha)) ?? 1
        config["lora_alpha"] = AdapterFolder.number(alpha)
        config["lora_dropout"] = .double(training?.dropout ?? 0)
        let saved = try modules.endings(naming: wholes.map(\.module), anywhere: true, path: path)
        config["modules_to_save"] = saved.isEmpty ? .null : .array(saved.map(JSON.string))
        config["peft_type"] = .string("LORA")
        config["r"] = .int(rank)
        var (ranks, alphas) = (JSONObject(), JSONObject())
        for size in sizes {
            if size.rank != rank { ranks[size.key] = .int(size.rank) }
            if training == nil, size.alpha != alpha { alphas[size.key] = AdapterFolder.number(size.alpha) }
        }
        config["rank_pattern"] = .object(ranks)
        config["alpha_pattern"] = .object(alphas)
        config["target_modules"] = .array(
            try modules.endings(naming: pairs.map(\.module), anywhere: false, path: path).map(JSON.string))
        if !stacks.isEmpty {
            config["target_parameters"] = .array(
                try parameters.endings(naming: stacks.map(\.name), anywhere: false, path: path).map { ending in
                    // PEFT accepts any ending, but a single component would tell a reader too little.
                    .string(ending.contains(".") ? ending : "\(ExpertNames.known.module).\(ending)")
                })
        }
        config["task_type"] = .string("CAUSAL_LM")
        config["use_dora"] = .bool(false)
        config["use_rslora"] = .bool(false)
        let companion = Checkpoint.Companion(
            name: "adapter_config.json", contents: Array(JSON.object(config).pretty.utf8))
        var result = Checkpoint(
            path: path,
            container: .folder(
                .init(headerMetadata: JSONObject([("format", .string("pt"))]), companions: [companion])),
            tensors: try tensors + stackTensors, sources: sources)
        result.weightsName = "adapter_model"
        result.content = .adapter(kind: "lora", base: baseName)
        return result
    }

    /// The rank, the numerator of the scale, and the key in patterns of every change.
    private func sizes(
        _ modules: ModuleTree, _ parameters: ModuleTree
    ) throws(CheckpointError) -> [(rank: Int, alpha: Double, key: String)] {
        func size(_ rank: Int, _ scale: Float, _ key: String) -> (rank: Int, alpha: Double, key: String) {
            (rank, Double(SharedAlpha.alpha(scale: scale, rank: rank)), key)
        }
        return pairs.map { size($0.rank, $0.scale, modules.patternKey($0.module)) }
            + stacks.map { size($0.matrices.rank, $0.scale, parameters.patternKey($0.name)) }
    }

    /// The most common value; of several equally common ones the highest.
    private static func mostCommon<Value: Hashable & Comparable>(_ values: [Value]) -> Value? {
        var counts: [Value: Int] = [:]
        for value in values { counts[value, default: 0] += 1 }
        return counts.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key
    }

    /// A number, without a fraction where it is whole.
    private static func number(_ value: Double) -> JSON { Int(exactly: value).map(JSON.int) ?? .double(value) }

    /// The matrices of experts. PEFT wraps the change of each parameter around those of the module's earlier
    /// parameters.
    private var stackTensors: [Tensor] {
        get throws(CheckpointError) {
            var result: [Tensor] = []
            for (index, stack) in stacks.enumerated() {
                let depth = stacks[(index + 1)...].count { $0.module == stack.module }
                let prefix =
                    AdapterFolder.prefix + stack.module + String(repeating: ".base_layer", count: depth) + ".lora_"
                result.append(try stack.matrices.joinedA(prefix + "A.weight"))
                result.append(try stack.matrices.joinedB(prefix + "B.weight"))
            }
            return result
        }
    }

    /// All tensors of modules under the names that PEFT gives them.
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
