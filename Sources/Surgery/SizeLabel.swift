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

    /// Updates the label, unless the file's label does not match its number of parameters.
    static func update(_ checkpoint: inout Checkpoint, was before: Checkpoint) {
        guard let label = before.metadata["general.size_label"]?.string,
            label == text(before.parameterCount)
        else { return }
        checkpoint.metadata["general.size_label"] = .string(text(checkpoint.parameterCount))
    }
}
