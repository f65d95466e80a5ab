public import Checkpoints
internal import Formats

/// Quantizes a GGUF checkpoint with a mixture: each tensor gets the type that llama-quantize chooses.
public struct Quantize: Edit {
    /// The mixture.
    public let mixture: Mixture

    /// A quantization with a mixture.
    public init(_ mixture: Mixture) { self.mixture = mixture }

    /// The checkpoint with quantized weights.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        if !mixture.base.isQuantized { return try Cast(to: mixture.base).apply(to: checkpoint) }
        guard checkpoint.form == .gguf else {
            throw CheckpointError(
                file: checkpoint.path, "\(mixture.name) is a GGUF type, which safetensors cannot hold",
                hint: "name the output x.gguf")
        }
        var result = checkpoint
        let choice = TypeChoice(mixture, checkpoint)
        for (place, tensor) in checkpoint.tensors.enumerated() {
            guard let dtype = choice.dtype(for: tensor) else { continue }
            result.tensors[place] = try tensor.recoded(as: dtype, file: checkpoint.path)
        }
        result.metadata["general.quantization_version"] = .u32(2)
        result.metadata["general.file_type"] = .u32(mixture.fileType)
        return result
    }

    /// The tensors whose rows the mixture's blocks do not divide, with the type that they get instead.
    public func fallbacks(in checkpoint: Checkpoint) -> [(tensor: String, wanted: String, used: String)] {
        let choice = TypeChoice(mixture, checkpoint)
        return checkpoint.tensors.compactMap { tensor in
            guard let wanted = choice.wanted(for: tensor), let used = choice.dtype(for: tensor),
                wanted != used
            else { return nil }
            return (tensor.name, wanted.name, used.name)
        }
    }
}

/// The type of every tensor under a mixture. The rules are llama-quantize's: they depend on the names, the
/// number of layers, the number of experts, and on whether the embedding is the output matrix too.
private struct TypeChoice {
    private let mixture: Mixture
    private let isTied: Bool
    private let has8Experts: Bool
    private let isLlama70B: Bool
    private let layerCount: Int
    /// For each fragment of a rule: the layers that have such a tensor, in order.
    private var layersWith: [String: [Int]] = [:]

    init(_ mixture: Mixture, _ checkpoint: Checkpoint) {
        self.mixture = mixture
        let metadata = checkpoint.metadata
        isTied = !checkpoint.tensors.contains { $0.name == "output.weight" }
        has8Experts = metadata.setting("expert_count")?.int == 8
        let stated = metadata.setting("block_count")?.int ?? checkpoint.layerCount
        layerCount = TypeChoice.layers.contains(stated) ? stated : checkpoint.layerCount
        let heads = metadata.setting("attention.head_count")?.int ?? 0
        isLlama70B =
            metadata.architecture == "llama" && layerCount == 80
            && metadata.setting("attention.head_count_kv")?.int != heads
        for fragment in Set(mixture.rules.map(\.tensors) + ["attn_v.weight"]) {
            let layers = checkpoint.tensors.filter { $0.name.containsBytes(of: fragment) }
                .compactMap { TypeChoice.layer(of: $0) }
            layersWith[fragment] = Array(Set(layers)).sorted()
        }
    }

    /// Numbers that a layer, or a count of layers, can have: the rules multiply them.
    private static let layers = 0...Int(UInt32.max)

    private static func layer(of tensor: Tensor) -> Int? {
        let parts = tensor.name.split(separator: ".", maxSplits: 2)
        guard parts.count == 3, parts[0] == "blk", let layer = Int(parts[1]), layers.contains(layer)
        else { return nil }
        return layer
    }

    private func isQuantizable(_ tensor: Tensor) -> Bool {
        tensor.shape.count >= 2 && tensor.name.hasSuffix("weight") && Cast.isWeight(tensor)
            && tensor.name != "position_embd.weight" && tensor.name != "token_types.weight"
            && !Cast.isLeft(tensor)
    }

    /// The type before rows are looked at; `nil` for tensors that stay as they are.
    func wanted(for tensor: Tensor) -> DType? {
        guard isQuantizable(tensor) else { return nil }
        if tensor.name == "output.weight" || (isTied && tensor.name == "token_embd.weight") {
            if tensor.rowLength % mixture.base.blockCount != 0 { return .q8_0 }
            return mixture.output ?? mixture.base
        }
        var dtype = mixture.base
        for rule in mixture.rules where tensor.name.containsBytes(of: rule.tensors) {
            let layers = layersWith[rule.tensors] ?? []
            // Values count the layers that have the tensor; everything else, all layers.
            let count = rule.tensors == "attn_v.weight" ? layers.count : layerCount
            let rank = TypeChoice.layer(of: tensor).flatMap(layers.firstIndex(of:)) ?? 0
            let place = has8Experts ? TypeChoice.layer(of: tensor) ?? rank : rank
            if rule.layers.contains(place, of: count) { dtype = rule.type }
            break
        }
        if tensor.name.containsBytes(of: "attn_v.weight") {
            if isLlama70B, dtype == .q4_K { dtype = .q5_K }
            if has8Experts { dtype = .q8_0 }
        } else if has8Experts, tensor.name.containsBytes(of: "attn_k.weight") {
            dtype = .q8_0
        } else if has8Experts, tensor.name.containsBytes(of: "attn_output.weight"), mixture.base == .q4_K {
            dtype = .q5_K
        }
        return dtype
    }

    /// The type of a tensor, with the fall-backs for rows that its blocks do not divide.
    func dtype(for tensor: Tensor) -> DType? {
        guard var dtype = wanted(for: tensor) else { return nil }
        if tensor.rowLength % dtype.blockCount != 0 { dtype = dtype.fallback ?? .f16 }
        return tensor.rowLength % dtype.blockCount == 0 ? dtype : .f16
    }
}
