internal import Formats

/// The category of a tensor in mixture rules, from its name.
enum TensorCategory: String, Sendable {
    case output
    case embedding
    case values = "attn_v"
    case keys = "attn_k"
    case attentionOutput = "attn_output"
    case up = "ffn_up"
    case gate = "ffn_gate"
    case down = "ffn_down"
    case other

    /// The category of a name. Fused projections and projections that values are expanded from count as values.
    init(name: String) {
        switch name {
        case "output.weight": self = .output
        case "token_embd.weight", "per_layer_token_embd.weight": self = .embedding
        default:
            self = TensorCategory.fragments.first { name.containsBytes(of: $0.fragment) }?.category ?? .other
        }
    }

    /// In llama-quantize's order.
    private static let fragments: [(fragment: String, category: TensorCategory)] = [
        ("attn_qkv.weight", .values), ("attn_kv_b.weight", .values), ("attn_v.weight", .values),
        ("attn_k.weight", .keys), ("attn_q.weight", .other), ("attn_output.weight", .attentionOutput),
        ("ffn_up", .up), ("ffn_gate", .gate), ("ffn_down", .down),
    ]

    /// The number after `blk.` at the start of a name, as llama-quantize's sscanf("blk.%d.") reads it: unlike in
    /// `LayerName` it may have leading zeros and need not be followed by a dot; `nil` without a number.
    static func layer(of name: String) -> Int? {
        guard name.utf8.starts(with: "blk.".utf8) else { return nil }
        let digits = name.utf8.dropFirst(4).prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        return Int32(String(digits) ?? "").map(Int.init)
    }
}
