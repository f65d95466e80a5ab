/// What a training of low-rank adapters does.
public struct TrainingSettings: Sendable, Equatable {
    /// What the adapted model is to reproduce.
    public enum Teacher: String, Sendable, CaseIterable {
        /// The whole model's predictions: its likeliest tokens with their probabilities, and the rest as one class.
        case logits
        /// The whole model's last hidden states, after the final norm.
        case stream
        /// The text itself. This adapts the model to the text as much as it heals the cut.
        case none
    }

    /// How the weights under the adapters are held.
    public enum Base: String, Sendable, CaseIterable {
        /// As they are, in whatever type.
        case asIs
        /// Rounded once to NF4 (QLoRA), and decoded whenever a product is computed.
        case nf4
    }

    /// The products that adapters change.
    public enum Target: String, Sendable, CaseIterable {
        /// Attention's queries.
        case query = "q_proj"
        /// Attention's keys.
        case key = "k_proj"
        /// Attention's values.
        case value = "v_proj"
        /// Attention's output.
        case attentionOutput = "o_proj"
        /// The gate of the MLP.
        case gate = "gate_proj"
        /// The first product of the MLP.
        case up = "up_proj"
        /// The last product of the MLP.
        case down = "down_proj"

        /// The MLP, as the paper has it.
        public static let feedForward: [Target] = [.gate, .up, .down]
    }

    /// Rows of A and columns of B.
    public var rank: Int
    /// The numerator of the scale, alpha / rank.
    public var alpha: Double
    /// The products with adapters.
    public var targets = Target.feedForward
    /// The learning rate after the warm-up.
    public var rate: Double
    /// Contexts in a step.
    public var batch: Int
    /// Number of steps.
    public var steps: Int
    /// Steps over which the learning rate rises; behind them it falls along a cosine to 0.
    public var warmup: Int
    /// Decoupled weight decay of AdamW; 0 because B begins at 0, so that decay would only pull the adapter back to nothing.
    public var weightDecay = 0.0
    /// The chance of an element of an adapter's operand to be dropped.
    public var dropout: Double
    /// The norm of all gradients together is at most this.
    public var clipping = 1.0
    /// Decides the first matrices, the order of the contexts, and what is dropped.
    public var seed: UInt64 = 0
    /// What the model is to reproduce.
    public var teacher = Teacher.logits
    /// How the weights are held.
    public var base = Base.asIs
    /// How many tokens the teacher names for each position.
    public var classes = 64
    /// Steps between two measurements on held-out text.
    public var evaluation = 10
    /// Measurements without a new best after which the training stops; `nil` for those of a quarter of the steps, and at least 5.
    public var patience: Int?
    /// How often a loss may be as large as the first one before the training counts as diverged.
    public var divergence = 4.0

    /// The settings for a share of layers that were removed, 0 to 1.
    public init(removed share: Double = 0.1) {
        let values = TrainingValues(shareRemoved: share)
        (rank, alpha, rate, dropout) = (values.rank, values.alpha, values.rate, values.dropout)
        (batch, steps, warmup) = (values.batch, values.steps, values.warmup)
    }

    /// How many measurements without a new best end the training. A long one gets more of them: the loss moves up and down
    /// while the learning rate is high, and falls again when the rate does.
    var measurementsWithoutGain: Int { patience ?? max(5, steps / (4 * max(1, evaluation))) }

    /// How many contexts the steps take, so that each is trained on once where there are so many.
    public var contextCount: Int {
        let (product, overflow) = steps.multipliedReportingOverflow(by: batch)
        return overflow ? .max : product
    }

    /// The learning rate of a step, counted from 0.
    func rate(at step: Int) -> Double {
        if step < warmup { return rate * Double(step + 1) / Double(warmup) }
        let progress = Double(step - warmup) / Double(max(1, steps - warmup))
        return rate * 0.5 * (1 + cosine(.pi * progress))
    }
}
