internal import Checkpoints

/// `general.size_label` of a GGUF file: the rounded number of parameters, `135M`, `1.1B`.
enum SizeLabel {
    /// The label for a number of parameters.
    static func text(_ count: Int) -> String {
        let scales: [(Double, String)] = [(1e12, "T"), (1e9, "B"), (1e6, "M")]
        let (scale, suffix) = scales.first { Double(count) > $0.0 } ?? (1e3, "K")
        let value = Double(count) / scale
        let whole = Int(value.rounded(.toNearestOrEven))
        guard whole < 10 else { return "\(whole)\(suffix)" }
        // One decimal below ten; two when one decimal would round to zero.
        let decimals = whole == 0 ? 100 : 10
        let rounded = Int((value * Double(decimals)).rounded(.toNearestOrEven))
        let fraction = String(rounded % decimals + decimals).dropFirst()
        return "\(rounded / decimals).\(fraction)\(suffix)"
    }

    /// The label for the tensors of a GGUF file: `8x7B` for experts, which counts all of the model that each token sees with
    /// one expert of a layer.
    static func text(_ tensors: [Tensor]) -> String {
        var others = 0, expert = 0, count = 0, stacks = 0
        for tensor in tensors {
            guard tensor.shape.count > 2, tensor.name.contains("_exps."), let experts = tensor.shape.first, experts > 0
            else {
                others += tensor.count  // fits: their bytes were counted
                continue
            }
            expert += tensor.count / experts  // fits: their bytes were counted
            count += experts  // fits: dimensions of tensors
            stacks += 1
        }
        return stacks == 0 ? text(others) : "\(count / stacks)x\(text(others + expert))"
    }

    /// Updates the label, unless the file's label is far from the size of its tensors.
    static func update(_ checkpoint: inout Checkpoint, was before: Checkpoint) {
        guard let label = before.metadata["general.size_label"]?.string else { return }
        let size = ModelName("model-" + label, parameterCount: 0).parameterCount ?? 0
        let count = Double(before.parameterCount)
        // Names round generously: Qwen3-1.7B has 2.0 billion.
        guard label == text(before.tensors) || abs(size - count) < count / 4 else { return }
        checkpoint.metadata["general.size_label"] = .string(text(checkpoint.tensors))
    }
}
