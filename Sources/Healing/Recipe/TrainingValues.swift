internal import Formats

/// The values of a training that heals a cut: how large the adapter is, and how it is trained.
public struct TrainingValues: Sendable, Equatable {
    /// The rank of every LoRA adapter.
    public var rank: Int
    /// LoRA's alpha; the change is scaled by alpha over rank.
    public var alpha: Double
    /// The share of inputs that dropout leaves out.
    public var dropout = 0.05
    /// The peak of the learning rate.
    public var rate: Double
    /// Contexts in a step, on all devices together.
    public var batch: Int
    /// Steps of the optimizer.
    public var steps: Int
    /// Steps until the learning rate has its peak.
    public var warmup: Int
    /// Measurements on held-out text without a new best after which the training stops.
    public var patience = 4
    /// Tokens in a context.
    public var context = 512
    /// Whether the whole model's predictions are learnt, and not the text itself.
    public var distills = true
    /// The modules that get an adapter, by the last part of their names.
    public var targets = ["gate_proj", "up_proj", "down_proj"]
    /// Decides the order of the contexts and dropout.
    public var seed = 0

    /// The values for a share of layers removed, those of a 2026 review of the method.
    ///
    /// The review trains on text; with distillation they serve as well. Larger shares need more rank and more steps at a
    /// lower rate.
    public init(shareRemoved share: Double) {
        switch share {
        case ...0.2: (rank, rate, batch, steps, warmup) = (8, 1e-4, 4, 150, 10)
        case ...0.3: (rank, rate, batch, steps, warmup) = (8, 5e-5, 4, 250, 20)
        case ...0.4: (rank, rate, batch, steps, warmup) = (16, 5e-5, 4, 400, 30)
        default: (rank, rate, batch, steps, warmup) = (16, 2e-5, 2, 500, 40)
        }
        alpha = Double(2 * rank)
    }

    /// Alpha as a whole number where it is one.
    var shownAlpha: JSON { Int(exactly: alpha).map(JSON.int) ?? .double(alpha) }

    /// `adapter_config.json` as PEFT reads it.
    func adapterConfig(base: String) -> JSON {
        .object(
            JSONObject([
                ("base_model_name_or_path", .string(base)), ("bias", .string("none")), ("fan_in_fan_out", .bool(false)),
                ("inference_mode", .bool(false)), ("init_lora_weights", .bool(true)), ("lora_alpha", shownAlpha),
                ("lora_dropout", .double(dropout)), ("modules_to_save", .null), ("peft_type", .string("LORA")),
                ("r", .int(rank)), ("target_modules", .array(targets.map(JSON.string))),
                ("task_type", .string("CAUSAL_LM")), ("use_dora", .bool(false)), ("use_rslora", .bool(false)),
            ]))
    }
}
