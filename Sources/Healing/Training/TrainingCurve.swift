public import Formats

/// How the loss of a training went.
public struct TrainingCurve: Sendable, Equatable {
    /// One step.
    public struct Step: Sendable, Equatable {
        /// The mean loss of its contexts before the step, in nats per token; for hidden states the relative squared error.
        public let loss: Double
        /// The learning rate.
        public let rate: Double
        /// The norm of the gradient before clipping.
        public let gradient: Double
    }

    /// A measurement on held-out text.
    public struct Measurement: Sendable, Equatable {
        /// How many steps came before it.
        public let step: Int
        /// The mean loss.
        public let loss: Double
    }

    /// The steps, in order.
    public internal(set) var steps: [Step] = []
    /// The measurements, the first before any step.
    public internal(set) var heldOut: [Measurement] = []

    /// An empty curve.
    public init() {}

    /// The least loss on held-out text; `nil` without any.
    public var best: Measurement? { heldOut.min { ($0.loss, $0.step) < ($1.loss, $1.step) } }

    /// The curve as JSON.
    public var json: JSON {
        .object(
            JSONObject([
                (
                    "steps",
                    .array(
                        steps.map {
                            .object(
                                JSONObject([
                                    ("loss", .double($0.loss)), ("rate", .double($0.rate)),
                                    ("gradient", .double($0.gradient)),
                                ]))
                        })
                ),
                (
                    "held_out",
                    .array(heldOut.map { .object(JSONObject([("step", .int($0.step)), ("loss", .double($0.loss))])) })
                ),
            ]))
    }
}
