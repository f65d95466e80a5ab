internal import Checkpoints
internal import Formats
internal import Weights

extension Adapter {
    /// The name of the file that mlx-lm saves at the end of a training.
    static let mlxWeightName = "adapters.safetensors"

    /// The tensors of one module.
    private struct Parts {
        var a: Tensor?, b: Tensor?, magnitude: Tensor?

        var all: [Tensor] { [a, b, magnitude].compactMap { $0 } }
    }

    /// Sorts the tensors of a file of mlx-lm by module and part, and checks them against the configuration.
    init(_ checkpoint: Checkpoint, _ config: MLXAdapterConfig, path: String) throws(CheckpointError) {
        var order: [ExactString] = [], found: [ExactString: Parts] = [:], wholes: [Whole] = []
        for tensor in checkpoint.tensors {
            try Adapter.checkValues(of: tensor, file: checkpoint.path)
            let dot = tensor.name.lastIndex(of: ".") ?? tensor.name.startIndex
            let part: WritableKeyPath<Parts, Tensor?>? =
                switch tensor.name[dot...] {
                case ".lora_a": \.a
                case ".lora_b": \.b
                case ".m": \.magnitude
                default: nil
                }
            guard (part == nil) == (config.lowRank == nil) else {
                throw CheckpointError(
                    file: checkpoint.path, tensor: tensor.name,
                    (part == nil ? "is none of the parts lora_a, lora_b and m" : "is a part of a low-rank change")
                        + ", and adapter_config.json says 'fine_tune_type': '\(config.tuning.rawValue)'")
            }
            guard let part else {
                wholes.append(Whole(name: tensor.name, isWrapped: false, values: tensor))
                continue
            }
            let module = ExactString(String(tensor.name[..<dot]))
            if found[module] == nil { order.append(module) }
            found[module, default: Parts()][keyPath: part] = tensor
        }
        guard !checkpoint.tensors.isEmpty else {
            throw CheckpointError(file: checkpoint.path, "holds no tensor of an adapter")
        }
        var pairs: [Pair] = []
        if let lowRank = config.lowRank {
            pairs = try order.map { (module) throws(CheckpointError) in
                try Adapter.pair(module.text, found[module] ?? Parts(), config, lowRank, file: checkpoint.path)
            }
        }
        var settings = try AdapterConfig(withoutSettings: config.path, baseName: config.baseName)
        // In mlx-lm, a tied embedding computes logits too, so its changes apply to both.
        settings.tying.weights = true
        self.init(
            path: path, naming: .mlx(config), config: settings, pairs: pairs, wholes: wholes, tokens: [],
            sources: checkpoint.sources)
    }

    /// The matrices of a module in PEFT's shapes: A [rank, inputs], B [outputs, rank]. Those of experts keep their
    /// shapes.
    private static func pair(
        _ module: String, _ parts: Parts, _ config: MLXAdapterConfig, _ lowRank: MLXAdapterConfig.LowRank, file: String
    ) throws(CheckpointError) -> Pair {
        guard let a = parts.a, let b = parts.b else {
            let there = parts.all.map(\.name).joined(separator: ", ")
            throw CheckpointError(
                file: file,
                "the module \(module) has \(there) and no \(parts.a == nil ? "lora_a" : "lora_b"): half an adapter")
        }
        guard (parts.magnitude != nil) == (config.tuning == .dora) else {
            throw CheckpointError(
                file: file,
                "the module \(module) has \(parts.magnitude == nil ? "no m" : "norms, \(module).m"), and "
                    + "adapter_config.json says 'fine_tune_type': '\(config.tuning.rawValue)'")
        }
        let isOfExperts = b.shape.count == 3
        for tensor in [a, b] where tensor.count == 0 || !(2...3).contains(tensor.shape.count) {
            throw wrongShape(tensor, file)
        }
        // Old versions store A of all experts as one matrix.
        guard a.shape.count == b.shape.count || isOfExperts else { throw wrongShape(a, file) }
        if isOfExperts {
            if let magnitude = parts.magnitude {
                throw CheckpointError(
                    file: file, tensor: magnitude.name, "is for experts, for which mlx-lm has no norms (DoRA)")
            }
            let rows = a.shape.dropLast().reduce(1, *)  // fits: a part of the elements
            let wanted = b.shape[0].multipliedReportingOverflow(by: b.shape[2])
            guard !wanted.overflow, rows == wanted.partialValue, a.shape.count == 2 || a.shape[0] == b.shape[0] else {
                throw CheckpointError(
                    file: file, tensor: b.name,
                    "has the shape \(b.shape), which does not go with \(a.shape) of \(a.name)")
            }
        } else if a.shape[1] != b.shape[0] {
            throw CheckpointError(
                file: file, tensor: b.name,
                "has the shape \(b.shape), and \(a.name) has \(a.shape): their ranks are \(b.shape[0]) and \(a.shape[1])"
            )
        }
        let rank = isOfExperts ? b.shape[2] : b.shape[0]
        guard rank == lowRank.rank else {
            throw CheckpointError(
                file: config.path, "says rank \(lowRank.rank), and \(b.name) of \(module) has \(rank)")
        }
        // The change of an embedding is A B with the scale on A, which is B A with the names exchanged.
        let isEmbedding = !isOfExperts && MLXNames.isEmbedding(module)
        return Pair(
            module: module, depth: 0, isEmbedding: false,
            a: isOfExperts ? a : isEmbedding ? b : a.transposed(),
            b: isOfExperts ? b : isEmbedding ? a : b.transposed(),
            scale: lowRank.scale, scalesB: true, magnitude: parts.magnitude, bias: nil)
    }

    private static func wrongShape(_ tensor: Tensor, _ file: String) -> CheckpointError {
        CheckpointError(
            file: file, tensor: tensor.name,
            "has the shape \(tensor.shape); a matrix of an adapter has two dimensions, those of experts have three")
    }
}
