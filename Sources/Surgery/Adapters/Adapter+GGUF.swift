internal import Checkpoints
internal import Formats
internal import Weights

extension Adapter {
    /// Reads an adapter of llama.cpp: `NAME.lora_a` and `NAME.lora_b` for the tensor `NAME` of the base.
    ///
    /// - Throws: when the file is not an adapter or has another method than LoRA, when one matrix of a pair is missing
    ///   or their shapes do not fit, and for values that are NaN or infinite.
    init(gguf checkpoint: Checkpoint) throws(CheckpointError) {
        let file = checkpoint.path
        let alpha = try Adapter.alpha(checkpoint.metadata, file: file)
        guard let architecture = checkpoint.metadata.architecture else {
            throw CheckpointError(file: file, "has no 'general.architecture', which has to be that of the base")
        }
        var order: [ExactString] = [], found: [ExactString: [Bool: Tensor]] = [:], wholes: [Whole] = []
        for tensor in checkpoint.tensors {
            try Adapter.checkValues(of: tensor, file: file, allowsQuantized: true)
            let isA = tensor.name.hasSuffix(".weight.lora_a")
            if isA || tensor.name.hasSuffix(".weight.lora_b") {
                let module = ExactString(String(tensor.name.dropLast(".weight.lora_a".count)))
                if found[module] == nil { order.append(module) }
                found[module, default: [:]][isA] = tensor
            } else if tensor.name.hasSuffix("_norm.weight"), tensor.shape.count == 1 {
                // mergekit stores norms whole; llama.cpp leaves them out.
                wholes.append(Whole(name: tensor.name, isWrapped: false, values: tensor))
            } else {
                throw CheckpointError(
                    file: file, tensor: tensor.name, "is neither lora_a nor lora_b of a weight, and no whole norm")
            }
        }
        guard !order.isEmpty || !wholes.isEmpty else {
            throw CheckpointError(file: file, "holds no tensor of an adapter")
        }
        pairs = try order.map { (module) throws(CheckpointError) in
            guard let a = found[module]?[true], let b = found[module]?[false] else {
                let (there, missing) = found[module]?[true] == nil ? ("lora_b", "lora_a") : ("lora_a", "lora_b")
                throw CheckpointError(
                    file: file, tensor: "\(module.text).weight.\(there)",
                    "is there without its \(missing): half an adapter")
            }
            return try Adapter.pair(module.text, a, b, alpha: alpha, file: file)
        }
        (path, naming, tokens) = (file, .gguf(architecture: architecture), [])
        config = try AdapterConfig(
            withoutSettings: file, baseName: checkpoint.metadata["general.base_model.0.name"]?.string)
        (self.wholes, sources) = (wholes, checkpoint.sources)
    }

    /// The alpha of all pairs; 0 means that their scale is 1.
    private static func alpha(_ metadata: GGUFMetadata, file: String) throws(CheckpointError) -> Float {
        for (key, wanted) in [("general.type", "adapter"), ("adapter.type", "lora")] {
            guard let value = metadata[key]?.string else { throw CheckpointError(file: file, "has no '\(key)'") }
            guard value == wanted else {
                throw CheckpointError(file: file, "'\(key)' is '\(value)', and only \(wanted) can be merged")
            }
        }
        for pair in metadata.pairs where pair.key.hasPrefix("adapter.") {
            switch pair.key {
            case "adapter.type", "adapter.lora.alpha", "adapter.lora.task_name", "adapter.lora.prompt_prefix": continue
            case "adapter.alora.invocation_tokens":
                if pair.value.array?.isEmpty == true { continue }
                throw CheckpointError(
                    file: file,
                    "has '\(pair.key)': the adapter begins to work after certain tokens, which no weight can do")
            default: throw CheckpointError(file: file, "has '\(pair.key)', a key that resect does not know")
            }
        }
        guard let value = metadata["adapter.lora.alpha"] else { return 0 }
        var text = value.json.compact
        if case .f32(let alpha) = value {
            if alpha.isFinite { return alpha }
            text = "\(alpha)"
        }
        throw CheckpointError(file: file, "'adapter.lora.alpha' is \(text), not a finite number of type f32")
    }

    /// The matrices for a weight, or for each expert of a stack.
    private static func pair(
        _ module: String, _ a: Tensor, _ b: Tensor, alpha: Float, file: String
    ) throws(CheckpointError) -> Pair {
        let isEmbedding = module.hasSuffix("token_embd")
        for tensor in [a, b] where !(isEmbedding ? 2...2 : 2...3).contains(tensor.shape.count) || tensor.count == 0 {
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "has the shape \(tensor.shape); a matrix of an adapter has two dimensions, a stack of experts three")
        }
        var stored = a
        if isEmbedding {
            if stored.dtype.isQuantized { stored = try stored.recoded(as: .f32, file: file) }
            stored = stored.transposed()
        }
        let shape = stored.shape, rank = shape[shape.count - 2]
        guard shape.dropLast(2) == b.shape.dropLast(2), rank == b.rowLength else {
            throw CheckpointError(
                file: file, tensor: b.name,
                "has the shape \(b.shape), and \(a.name) has \(a.shape): they do not go together")
        }
        return Pair(
            module: module, depth: 0, isEmbedding: isEmbedding, a: stored, b: b,
            scale: alpha == 0 ? 1 : alpha / Float(rank), magnitude: nil, bias: nil)
    }
}

extension AdapterConfig {
    /// The settings of an adapter without a file of settings, whose tensors say everything.
    init(withoutSettings path: String, baseName: String?) throws(CheckpointError) {
        var object = JSONObject([("peft_type", .string("LORA")), ("r", .int(1)), ("lora_alpha", .int(1))])
        object["base_model_name_or_path"] = baseName.map(JSON.string)
        try self.init(object, path: path)
    }
}
