/// How the layers of a family compute, in terms of its settings: the member `layer` of an architecture file.
///
/// A family without it can be cut and converted, and is not run.
package struct LayerDescription: Sendable, Equatable {
    /// The norms before attention and before the MLP.
    package let norm: Norm
    /// The rotary embedding.
    package let rope: Rope
    /// The MLP.
    package let feedForward: FeedForward
    /// The setting of the sliding window; `nil` when every token sees all before it.
    package let window: String?

    /// Kinds of norms.
    package enum Norm: String, CaseIterable, Sendable {
        /// Divides by the root of the mean square.
        case rms
    }

    /// Which elements of a head are rotated together.
    package enum Pairs: String, CaseIterable, Sendable {
        /// Element i with element i + half.
        case halves
        /// Element 2i with element 2i + 1.
        case neighbours
    }

    /// A rotary embedding.
    package struct Rope: Sendable, Equatable {
        /// The pairs in an HF checkpoint.
        package let pairs: Pairs
        /// The pairs in a GGUF file.
        package let ggufPairs: Pairs
    }

    /// Kinds of MLPs.
    package enum FeedForward: Sendable, Equatable {
        /// `down(act(gate x) * up x)`, with the setting that names the activation.
        case gated(activation: String)
    }

    /// Reads the member.
    init(_ value: JSON) throws(DataFileError) {
        var reader = try MemberReader(value, "layer")
        norm = try reader.choice("norm", Norm.self)
        var rope = try MemberReader(try reader.required("rope"), "layer.rope")
        self.rope = Rope(
            pairs: try rope.choice("pairs", Pairs.self), ggufPairs: try rope.choice("gguf_pairs", Pairs.self))
        try rope.finish()
        var ffn = try MemberReader(try reader.required("ffn"), "layer.ffn")
        feedForward = .gated(activation: try ffn.string("gated"))
        try ffn.finish()
        window = try reader.optionalString("window")
        try reader.finish()
    }

    /// The required setting roles.
    package var roles: [String] {
        guard case .gated(let activation) = feedForward else { return [] }
        return [activation] + (window.map { [$0] } ?? [])
    }
}
