package import Formats

/// What one layer computes, resolved from the settings: the decoder reads this and no keys.
package struct LayerPlan: Sendable, Equatable {
    /// The norm of its norms.
    package let norm: NormPlan
    /// Where they are.
    package let norms: LayerDescription.Placement
    /// Whether attention and the MLP read the same stream, and what the MLP's norm is then; `nil` when the MLP follows
    /// attention.
    package let parallel: ParallelNorm?
    /// The factor of what attention and the MLP add to the stream.
    package let residualScale: Float
    /// The attention.
    package internal(set) var attention: AttentionPlan
    /// The MLP.
    package let feedForward: FeedForwardPlan

    /// What an MLP beside attention reads.
    package enum ParallelNorm: Sendable, Equatable {
        /// What attention reads.
        case shared
        /// The stream through a norm of its own.
        case own
    }

    /// Whether attention reads the stream through a norm.
    package var hasNormsBefore: Bool { norms != .after }
    /// Whether what attention and the MLP give passes a norm.
    package var hasNormsAfter: Bool { norms != .before }
}

/// A norm.
package struct NormPlan: Sendable, Equatable {
    /// Its kind.
    package let kind: LayerDescription.Norm
    /// Added to the mean square or the variance before taking the root.
    package let epsilon: Float

    /// A norm of a kind.
    package init(kind: LayerDescription.Norm, epsilon: Float) {
        self.kind = kind
        self.epsilon = epsilon
    }
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
    package internal(set) var window: Int?
    /// The rotary embedding of queries and keys; `nil` without one.
    package let rotary: RotaryUse?
    /// The norms of queries and keys; `nil` without them.
    package let queryKeyNorm: QueryKeyNormPlan?
    /// The factor of the scores before softmax.
    package let scale: Float
    /// The soft cap of the scores: `cap * tanh(score / cap)`; `nil` without one.
    package let cap: Float?
    /// Queries, keys and values are clamped to this size; `nil` when they are not.
    package let clip: Float?
    /// How queries grow with their position; `nil` when they do not.
    package let positionScale: PositionScalePlan?

    /// Which rotary embedding of a model a layer uses.
    package enum RotaryUse: Sendable, Equatable {
        /// The one of the model.
        case main
        /// That of layers with a window.
        case windowed
    }

    /// Columns of the queries: all heads.
    package var queryWidth: Int { heads * headSize }  // fits: both are below 2^31
    /// Columns of the keys.
    package var keyWidth: Int { keyHeads * headSize }  // fits: both are below 2^31
}

/// Norms of queries and keys.
package struct QueryKeyNormPlan: Sendable, Equatable {
    /// The norm.
    package let norm: NormPlan
    /// What one norm spans.
    package let span: LayerDescription.QueryKeyNorm.Span
    /// Whether rotation comes first.
    package let followsRotation: Bool
}

/// Queries are multiplied by `1 + beta * log(1 + floor(position / context))`.
package struct PositionScalePlan: Sendable, Equatable {
    /// How fast they grow.
    package let beta: Float
    /// The context that the model was trained with first, in tokens.
    package let context: Int
}

/// An MLP.
package enum FeedForwardPlan: Sendable, Equatable {
    /// `down(act(gate x) * up x)` with that many columns between.
    case gated(width: Int, activation: Activation)
    /// `down(act(up x))`
    case plain(width: Int, activation: Activation)
    /// Some of many gated MLPs, chosen for each token.
    case experts(ExpertsPlan)

    /// Columns between the products of one MLP.
    package var width: Int {
        switch self {
        case .gated(let width, _), .plain(let width, _): width
        case .experts(let plan): max(plan.width, plan.sharedWidth ?? 0)
        }
    }

    /// The activation.
    package var activation: Activation {
        switch self {
        case .gated(_, let activation), .plain(_, let activation): activation
        case .experts(let plan): plan.activation
        }
    }
}

/// A mixture of gated MLPs. Each token uses those to which the softmax of the router gives most.
package struct ExpertsPlan: Sendable, Equatable {
    /// How many there are.
    package let count: Int
    /// How many a token uses.
    package let used: Int
    /// Columns inside one.
    package let width: Int
    /// The activation.
    package let activation: Activation
    /// Whether the weights of the chosen experts are divided by their sum.
    package let normalizes: Bool
    /// Columns inside the expert that every token uses; `nil` without one.
    package let sharedWidth: Int?
}

/// Activations of an MLP.
package enum Activation: String, CaseIterable, Sendable {
    /// `x * sigmoid(x)`
    case silu
    /// `x * (1 + erf(x / sqrt(2))) / 2`
    case gelu
    /// The approximation of `gelu` by a hyperbolic tangent.
    case geluTanh = "gelu_tanh"
    /// The square of `max(x, 0)`.
    case squaredReLU = "relu2"
}
