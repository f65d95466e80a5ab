internal import Checkpoints
internal import Formats

/// Scales of activations and of the key/value cache, which static quantizers store beside quantized weights. The
/// weights do not depend on them.
enum RuntimeScales {
    private static let endings: Set<String> = [
        "input_scale", "act_scale", "activation_scale", "input_scale_ub", "scale_input", "output_scale", "scale_output",
        "input_global_scale", "output_global_scale", "input_zero_point", "output_zero_point", "q_scale", "k_scale",
        "v_scale", "kv_scale", "prob_scale", "q_zero_point", "k_zero_point", "v_zero_point",
    ]

    /// The last component of the name when it is one of these scales; `nil` for any other tensor.
    static func kind(of name: String) -> String? {
        guard let dot = name.utf8.lastIndex(of: UInt8(ascii: ".")) else { return nil }
        let ending = String(name[dot...].dropFirst())
        return endings.contains(ending) ? ending : nil
    }

    /// Removes them from a checkpoint with dequantized weights, and adds a note with the number of each kind.
    static func remove(from checkpoint: inout Checkpoint) {
        var counts: [(kind: String, count: Int)] = []
        checkpoint.tensors.removeAll { tensor in
            guard let kind = kind(of: tensor.name) else { return false }
            if let index = counts.firstIndex(where: { $0.kind == kind }) {
                counts[index].count += 1
            } else {
                counts.append((kind, 1))
            }
            return true
        }
        guard !counts.isEmpty else { return }
        let list = counts.map { "\($0.count) \($0.kind)" }.joined(separator: ", ")
        checkpoint.note("\(list) removed: scales of activations or of the cache, which unquantized weights do not use")
    }
}
