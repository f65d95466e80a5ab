package import Formats

/// What one layer computes, resolved from the settings: the decoder reads this and no keys.
package struct LayerPlan: Sendable, Equatable {
    /// The norms before attention and before the MLP.
    package let norm: NormPlan
    /// The attention.
    package let attention: AttentionPlan
    /// The MLP.
    package let feedForward: FeedForwardPlan
}

/// A norm.
package struct NormPlan: Sendable, Equatable {
    /// Its kind.
    package let kind: LayerDescription.Norm
    /// Added to the mean square before taking the root.
    package let epsilon: Float
}

/// Causal attention with grouped heads.
package struct AttentionPlan: Sendable, Equatable {
    /// Query heads.
    package let heads: Int
    /// Key and value heads.
    package let keyHeads: Int
    /// Elements of a query or key head.
    package let headSize: Int
    /// Elements of a value head.
    package let valueSize: Int
    /// How many positions attention reaches back, its own included; `nil` without a limit.
    package let window: Int?

    /// Columns of the queries: all heads.
    package var queryWidth: Int { heads * headSize }  // fits: both are below 2^31
    /// Columns of the keys.
    package var keyWidth: Int { keyHeads * headSize }  // fits: both are below 2^31
}

/// An MLP.
package enum FeedForwardPlan: Sendable, Equatable {
    /// `down(act(gate x) * up x)` with that many columns between.
    case gated(width: Int, activation: Activation)

    /// Columns between the two products.
    package var width: Int {
        switch self {
        case .gated(let width, _): width
        }
    }
}

/// Activations of an MLP, by the names of transformers.
package enum Activation: String, Sendable {
    /// `x * sigmoid(x)`
    case silu
}
