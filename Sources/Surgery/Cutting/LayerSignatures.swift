internal import Checkpoints
internal import Formats

/// The tensors of each layer, compared with what the settings say about it.
/// When layers differ and no setting states how, the runtime uses a rule that resect does not know, and might misread
/// layers that move.
struct LayerSignatures {
    /// The layers.
    let pattern: LayerPattern
    /// The path, for messages.
    let file: String
    /// The shapes by module; an empty shape matches any.
    private var shapes: [[String: [Int]]]

    /// Collects the modules of each layer with their shapes; shapes of quantized parts are ignored.
    init(_ checkpoint: Checkpoint, _ pattern: LayerPattern) {
        self.pattern = pattern
        file = checkpoint.path
        shapes = Array(repeating: [:], count: pattern.decoderCount)
        let shared = LayerSettings.known.shared
        for tensor in checkpoint.tensors {
            guard let layer = pattern.layer(of: tensor.name), layer < pattern.decoderCount,
                let suffix = pattern.suffix(of: tensor.name),
                !shared.contains(where: { suffix.containsBytes(of: $0.part) })
            else { continue }
            let (module, isPart) = LayerSignatures.module(suffix)
            let isPlain = checkpoint.form == .gguf || [.f32, .f16, .bf16].contains(tensor.dtype)
            if isPart || shapes[layer][module] == nil {
                shapes[layer][module] = isPart || !isPlain ? [] : tensor.shape
            }
        }
    }

    /// Suffixes of the parts of quantized weights.
    private static let parts = [
        "weight_packed", "weight_scale", "weight_scale_inv", "weight_zero_point", "weight_shape", "weight_global_scale",
        "weight_g_idx", "weight_scale_2", "input_scale", "input_global_scale", "input_zero_point", "k_scale", "v_scale",
        "q_scale", "output_scale", "qweight", "qzeros", "scales", "g_idx", "biases", "absmax", "quant_map",
        "nested_absmax", "nested_quant_map", "SCB", "weight_format",
    ]

    /// The module of a tensor, and whether the tensor is part of a quantized weight.
    private static func module(_ suffix: Substring) -> (String, isPart: Bool) {
        let components = suffix.split(separator: ".")
        guard let last = components.last, components.count > 1 else { return (String(suffix), false) }
        if last.hasPrefix("bitsandbytes__"), let weight = components.lastIndex(of: "weight") {
            return (components[..<weight].joined(separator: ".") + ".weight", true)
        }
        if parts.contains(String(last)) {
            let module = components.dropLast().last == "weight" ? components.dropLast(2) : components.dropLast()
            return (module.joined(separator: ".") + ".weight", true)
        }
        return (String(suffix), false)
    }

    /// Compares the layers with the settings.
    ///
    /// - Throws: when two layers differ although the settings treat them alike.
    func check(kinds: [[JSON]]) throws(CheckpointError) {
        var first: [String: Int] = [:]
        for layer in shapes.indices {
            let kind = kinds.map { $0.indices.contains(layer) ? $0[layer].compact : "" }.joined(separator: "\n")
            guard let other = first[kind] else {
                first[kind] = layer
                continue
            }
            guard let name = difference(other, layer) else { continue }
            func tensor(_ layer: Int) -> String { "\(pattern.prefix)\(layer).\(name)" }
            let (has, lacks) = shapes[layer][name] == nil ? (other, layer) : (layer, other)
            let problem =
                shapes[lacks][name] == nil
                ? "has '\(tensor(has))' but not '\(tensor(lacks))'"
                : "'\(tensor(other))' and '\(tensor(layer))' have different shapes"
            throw CheckpointError(
                file: file, "\(problem); no known setting states which layers differ, so none can be cut")
        }
    }

    /// A module in which two layers differ.
    private func difference(_ a: Int, _ b: Int) -> String? {
        let (a, b) = (shapes[a], shapes[b])
        for name in Set(a.keys).symmetricDifference(b.keys).sorted() { return name }
        return a.keys.sorted().first { name in
            guard let one = a[name], let other = b[name], !one.isEmpty, !other.isEmpty else { return false }
            return one != other
        }
    }
}
