internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

extension Adapter {
    /// The tensors of one module.
    private struct Found {
        var parts: [(part: AdapterTensorName.Part, tensor: Tensor)] = []

        func tensor(_ part: AdapterTensorName.Part) -> Tensor? { parts.first { $0.part == part }?.tensor }
    }

    private struct Key: Hashable {
        let module: ExactString
        let depth: Int
    }

    /// Sorts the tensors of a file by module and part, and checks them against the configuration.
    init(_ checkpoint: Checkpoint, _ config: AdapterConfig, path: String) throws(CheckpointError) {
        var order: [Key] = [], found: [Key: Found] = [:], adapters: Set<String> = []
        var wholes: [Whole] = [], indices: [ExactString: Int] = [:], tokens: [(module: String, values: Tensor)] = []
        for tensor in checkpoint.tensors {
            guard let name = AdapterTensorName(tensor.name) else {
                throw CheckpointError(
                    file: checkpoint.path, tensor: tensor.name,
                    "is part of an adapter in a way that resect does not know")
            }
            if name.part == .original { continue }
            try Adapter.checkValues(of: tensor, file: checkpoint.path)
            if let adapter = name.adapter { adapters.insert(adapter) }
            switch name.part {
            case .whole, .wrapped:
                if let index = indices.updateValue(wholes.count, forKey: ExactString(name.module)) {
                    try Adapter.checkCopy(tensor, of: wholes[index], file: checkpoint.path)
                    indices[ExactString(name.module)] = index
                    continue
                }
                let module = ModuleTree.module(of: name.module)
                wholes.append(
                    Whole(
                        name: name.module, isWrapped: name.part == .wrapped, values: tensor,
                        isTrained: config.selection.storesWhole(module)))
            case .tokens: tokens.append((name.module, tensor))
            default:
                let key = Key(module: ExactString(name.module), depth: name.depth)
                if found[key] == nil { order.append(key) }
                guard found[key]?.tensor(name.part) == nil else {
                    throw CheckpointError(
                        file: checkpoint.path, tensor: tensor.name, "is there twice for the module \(name.module)")
                }
                found[key, default: Found()].parts.append((name.part, tensor))
            }
        }
        guard adapters.count < 2 else {
            throw CheckpointError(
                file: checkpoint.path, "holds several adapters: \(adapters.sorted().joined(separator: ", "))",
                hint: "save each of them by itself")
        }
        pairs = try order.map { (key) throws(CheckpointError) in
            try Adapter.pair(key.module.text, key.depth, found[key] ?? Found(), config, file: checkpoint.path)
        }
        (self.path, self.config, self.wholes, self.tokens) = (path, config, wholes, tokens)
        naming = .folder
        sources = checkpoint.sources
        guard !pairs.isEmpty || !wholes.isEmpty || !tokens.isEmpty else {
            throw CheckpointError(file: checkpoint.path, "holds no tensor of an adapter")
        }
        try checkConfiguration()
    }

    /// Refuses a second tensor for the same name with other values. When the vocabulary was resized, PEFT stores
    /// embeddings a second time, under their names during the training.
    private static func checkCopy(_ tensor: Tensor, of other: Whole, file: String) throws(CheckpointError) {
        guard tensor.shape == other.values.shape, try other.values.holds(tensor) else {
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "has other values than \(other.values.name), and both are \(other.name)")
        }
    }

    /// The matrices of a module, whose shapes are checked.
    private static func pair(
        _ module: String, _ depth: Int, _ found: Found, _ config: AdapterConfig, file: String
    ) throws(CheckpointError) -> Pair {
        let isEmbedding = found.tensor(.embeddingA) != nil || found.tensor(.embeddingB) != nil
        let (first, second): (AdapterTensorName.Part, AdapterTensorName.Part) =
            isEmbedding ? (.embeddingA, .embeddingB) : (.a, .b)
        guard let a = found.tensor(first), let b = found.tensor(second) else {
            let there = found.parts.map(\.tensor.name).joined(separator: ", ")
            let missing = found.tensor(first) == nil ? "A" : "B"
            throw CheckpointError(
                file: file, "the module \(module) has \(there) and no lora_\(missing): half an adapter")
        }
        for tensor in [a, b] where tensor.shape.count != 2 || tensor.count == 0 {
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "has the shape \(tensor.shape); a matrix of an adapter has two dimensions")
        }
        guard a.shape[0] == b.shape[1] else {
            throw CheckpointError(
                file: file, tensor: b.name,
                "has the shape \(b.shape), and \(a.name) has \(a.shape): their ranks are \(b.shape[1]) and \(a.shape[0])"
            )
        }
        if isEmbedding, found.tensor(.a) != nil || found.tensor(.b) != nil {
            throw CheckpointError(file: file, "the module \(module) has matrices of an embedding and of a Linear")
        }
        return Pair(
            module: module, depth: depth, isEmbedding: isEmbedding, a: a, b: b,
            scale: config.scale(of: module, rank: a.shape[0]), magnitude: found.tensor(.magnitude),
            bias: found.tensor(.bias))
    }

    /// Refuses values that are NaN or infinite, and types that do not hold floats.
    static func checkValues(
        of tensor: Tensor, file: String, allowsQuantized: Bool = false
    ) throws(CheckpointError) {
        let isKnown = ["F32", "F16", "BF16", "F64"].contains(tensor.dtype.name)
        guard isKnown || allowsQuantized && tensor.dtype.isQuantized && Codec.decodes(tensor.dtype) else {
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "has the type \(tensor.dtype); weights of an adapter are F32, F16 or BF16")
        }
        try tensor.forEachValues(of: 0..<tensor.count) { (values, range) throws(CheckpointError) in
            let limit = Float.greatestFiniteMagnitude
            guard let index = Codec.firstBeyond(limit, in: values, count: range.count) else { return }
            let element = range.lowerBound + index, length = max(1, tensor.rowLength)
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "holds \(values[index].isNaN ? "NaN" : "infinity") in row \((element / length).grouped), column "
                    + "\((element % length).grouped): the training has failed")
        }
    }
}
