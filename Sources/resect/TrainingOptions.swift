internal import ArgumentParser
internal import Checkpoints
internal import Healing
internal import Surgery

/// How adapters are trained that heal a cut. Defaults depend on the share of the layers that is removed.
struct TrainingOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "What the training reproduces: the logits of the whole model, its hidden states (stream), or only the text (none), "
                + "which adapts the model to the text as much as it heals.", valueName: "kind"))
    var teacher = TeacherArgument.logits

    @Option(name: .long, help: ArgumentHelp("Number of training steps.", valueName: "n"))
    var steps: Int?

    @Option(name: .long, help: ArgumentHelp("Number of contexts in a training step.", valueName: "n"))
    var batch: Int?

    @Option(name: .long, help: ArgumentHelp("Peak learning rate of AdamW.", valueName: "rate"))
    var learningRate: Double?

    @Option(
        name: .long,
        help: ArgumentHelp("Steps over which the learning rate rises; then it falls along a cosine.", valueName: "n"))
    var warmup: Int?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Number of measurements on held-out text, one every 10 steps, without a new best after which the training stops. "
                + "Default: those of a quarter of the steps, at least 5.", valueName: "n"))
    var patience: Int?

    @Option(name: .long, help: ArgumentHelp("Rank of the trained adapters.", valueName: "n"))
    var loraRank: Int?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The adapters are scaled by this divided by the rank. Default: twice the rank.", valueName: "x"))
    var loraAlpha: Double?

    @Option(
        name: .long, help: ArgumentHelp("Probability with which each input of an adapter is dropped.", valueName: "x"))
    var dropout: Double?

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Weights that get an adapter: mlp, all-linear, or names such as q_proj,down_proj. Repeatable. Default: mlp.",
            valueName: "names"))
    var target: [TargetArgument] = []

    @Option(
        name: .long,
        help: ArgumentHelp("Round the weights under the adapters to this type while training.", valueName: "type"))
    var trainingBase: TrainingBaseArgument?

    @Option(
        name: .long, help: ArgumentHelp("Write the loss curve as an SVG picture.", valueName: "file"),
        completion: .file())
    var curve: String?

    func validate() throws {
        func check(_ value: Int?, _ name: String, _ range: ClosedRange<Int>) throws {
            guard let value, !range.contains(value) else { return }
            throw ValidationError("--\(name) takes \(range.lowerBound) to \(range.upperBound.grouped)")
        }
        if let curve, curve.isEmpty || curve == "-" { throw ValidationError("--curve needs the name of a file") }
        try check(steps, "steps", 1...1_000_000_000)
        try check(batch, "batch", 1...1_000_000_000)
        try check(warmup, "warmup", 0...1_000_000_000)
        if let warmup, let steps, warmup > steps {
            throw ValidationError("--warmup \(warmup) is more than all steps: \(steps)")
        }
        try check(patience, "patience", 1...1_000_000_000)
        try check(loraRank, "lora-rank", 1...1_000_000)
        if let learningRate, !(learningRate > 0 && learningRate.isFinite) {
            throw ValidationError("--learning-rate must be above 0")
        }
        if let loraAlpha, !(loraAlpha > 0 && loraAlpha.isFinite) {
            throw ValidationError("--lora-alpha must be above 0")
        }
        if let dropout, !(0..<1 ~= dropout) { throw ValidationError("--dropout must be from 0 to below 1") }
    }

    /// Refuses options of a training where none is wanted.
    ///
    /// - Parameter hasRecipe: whether a recipe for another training is written.
    func check(_ method: HealMethod, hasRecipe: Bool = false) throws {
        let ofRecipe: [(name: String, isGiven: Bool)] = [
            ("teacher", teacher != .logits), ("steps", steps != nil), ("batch", batch != nil),
            ("learning-rate", learningRate != nil), ("warmup", warmup != nil), ("patience", patience != nil),
            ("lora-rank", loraRank != nil), ("lora-alpha", loraAlpha != nil), ("dropout", dropout != nil),
            ("target", !target.isEmpty),
        ]
        let given = (hasRecipe ? [] : ofRecipe) + [("training-base", trainingBase != nil), ("curve", curve != nil)]
        if hasRecipe, !method.trains, teacher == .stream {
            throw ValidationError("--teacher stream is for training here; the script of a recipe learns logits or text")
        }
        guard !method.trains, let option = given.first(where: \.isGiven) else { return }
        throw ValidationError(
            "--\(option.name) is for training, but nothing is trained: add lora to the method, such as refit,lora")
    }

    /// Puts the options into a recipe.
    func apply(to recipe: inout TrainingRecipe, of model: Checkpoint) {
        let share = Double(recipe.dropped.count) / Double(max(1, recipe.layerCount))
        let settings = settings(removed: share, seed: 0)
        recipe.values.distills = teacher != .none
        (recipe.values.rank, recipe.values.alpha) = (settings.rank, settings.alpha)
        (recipe.values.rate, recipe.values.dropout) = (settings.rate, settings.dropout)
        (recipe.values.batch, recipe.values.steps) = (settings.batch, settings.steps)
        recipe.values.warmup = settings.warmup
        if let patience { recipe.values.patience = patience }
        if !target.isEmpty { recipe.target(settings.targets, of: model) }
    }

    /// The long names of the options that decide the adapters.
    static let names = [
        "teacher", "steps", "batch", "learning-rate", "warmup", "patience", "lora-rank", "lora-alpha", "dropout",
        "target", "training-base",
    ]

    /// What trains the adapters.
    func trainer(_ heal: HealOptions, _ output: OutputOptions) -> AdapterTrainer {
        var trainer = AdapterTrainer { [self, seed = heal.seed] share in settings(removed: share, seed: seed) }
        trainer.memoryByteCount = heal.memory?.byteCount ?? 2 << 30
        trainer.state = output.resume ? ResumedFile.training.path(beside: output.output) : nil
        trainer.curve = curve
        return trainer
    }

    /// The settings for a cut.
    ///
    /// - Parameter share: the share of the layers that is removed.
    private func settings(removed share: Double, seed: UInt64) -> TrainingSettings {
        var settings = TrainingSettings(removed: share)
        settings.teacher = teacher.kind
        settings.seed = seed
        if let steps { (settings.steps, settings.warmup) = (steps, min(settings.warmup, steps / 10)) }
        if let batch { settings.batch = batch }
        if let learningRate { settings.rate = learningRate }
        if let warmup { settings.warmup = warmup }
        settings.patience = patience
        if let loraRank { (settings.rank, settings.alpha) = (loraRank, Double(2 * loraRank)) }
        if let loraAlpha { settings.alpha = loraAlpha }
        if let dropout { settings.dropout = dropout }
        if !target.isEmpty {
            let wanted = target.flatMap(\.targets)
            settings.targets = TrainingSettings.Target.allCases.filter(wanted.contains)
        }
        if trainingBase != nil { settings.base = .nf4 }
        return settings
    }
}

/// A teacher, by the name that the command line takes.
enum TeacherArgument: String, ExpressibleByArgument, CaseIterable {
    case logits, stream, none

    var kind: TrainingSettings.Teacher {
        switch self {
        case .logits: .logits
        case .stream: .stream
        case .none: .none
        }
    }
}

/// What weights are rounded to while adapters are trained on them.
enum TrainingBaseArgument: String, ExpressibleByArgument, CaseIterable {
    case nf4
}

/// Products with an adapter.
struct TargetArgument: ExpressibleByArgument {
    let targets: [TrainingSettings.Target]

    init?(argument: String) {
        var targets: [TrainingSettings.Target] = []
        for name in argument.split(separator: ",", omittingEmptySubsequences: false) {
            switch name {
            case "mlp": targets += TrainingSettings.Target.feedForward
            case "all-linear": targets += TrainingSettings.Target.allCases
            default:
                guard let target = TrainingSettings.Target(rawValue: String(name)) else { return nil }
                targets.append(target)
            }
        }
        self.targets = targets
    }

    static var allValueStrings: [String] {
        ["mlp", "all-linear"] + TrainingSettings.Target.allCases.map(\.rawValue)
    }
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}
