internal import Formats

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// What a whole model computes: its widths, its rotary frequencies, and one plan for each layer.
package struct ModelPlan: Sendable, Equatable {
    /// The width of the residual stream.
    package let hidden: Int
    /// The number of embedding rows; `nil` when the file does not state it.
    package let vocabulary: Int?
    /// The factor of the embeddings.
    package let embeddingScale: Float
    /// The norm before the output matrix.
    package let outputNorm: NormPlan
    /// The factor of the logits.
    package let logitScale: Float
    /// The soft cap of the logits, `cap * tanh(logit / cap)`; `nil` without one.
    package let logitCap: Float?
    /// The rotary embedding; `nil` without one.
    package let rotary: RotaryPlan?
    /// The rotary embedding of layers with a window; `nil` when it is the same as in the others.
    package let windowedRotary: RotaryPlan?
    /// A plan for each layer.
    package let layers: [LayerPlan]

    /// Resolves the settings of a model.
    ///
    /// - Throws: when resect does not know how the model computes, when a setting is missing or absurd, or when it
    ///   requires something that the architecture file lacks.
    package init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        guard let settings = checkpoint.settings, let layer = settings.architecture.layer else {
            throw CheckpointError(file: checkpoint.path, "its architecture has no description of its layers")
        }
        try settings.checkFixed(checkpoint)
        try checkpoint.checkFixedMetadata()
        hidden = try settings.int(.hidden)
        let isOptional = checkpoint.form == .gguf && !settings.isStated(SettingRole.vocabulary.rawValue)
        vocabulary = isOptional ? nil : try settings.int(.vocabulary)
        let model = settings.architecture.model
        switch model.embeddingScale {
        case nil: embeddingScale = 1
        case .rootOfHidden: embeddingScale = sqrtf(Float(hidden))
        case .setting(let role): embeddingScale = try settings.number(role) ?? 1
        }
        switch model.logitScale {
        case nil: logitScale = 1
        case .factor(let role): logitScale = try settings.number(role) ?? 1
        case .divisor(let role): logitScale = 1 / (try settings.number(role) ?? 1)
        }
        logitCap = try settings.positive(model.cap)
        outputNorm = NormPlan(kind: layer.norm, epsilon: try settings.epsilon())
        rotary = try layer.rope.map { (rope) throws(CheckpointError) in
            try RotaryPlan(checkpoint, settings, rope, isWindowed: false)
        }
        windowedRotary = try layer.rope.flatMap { (rope) throws(CheckpointError) in
            guard rope.windowTheta != nil || (!rope.scalesWindowed && layer.window != nil) else { return nil }
            return try RotaryPlan(checkpoint, settings, rope, isWindowed: true)
        }
        let resolver = LayerPlanResolver(
            settings, layer, norm: outputNorm, hasWindowedRotary: windowedRotary != nil)
        layers = try (0..<checkpoint.layerCount).map { (number) throws(CheckpointError) in
            try resolver.plan(number)
        }
    }
}

extension Checkpoint {
    /// Refuses GGUF metadata that ask for something that resect does not compute in any family.
    fileprivate func checkFixedMetadata() throws(CheckpointError) {
        guard form == .gguf else { return }
        if metadata.setting("attention.causal")?.bool == false {
            throw CheckpointError(
                file: path, "attends in both directions ('attention.causal' is false), which resect does not compute")
        }
        let sections = metadata.setting("rope.dimension_sections")?.array ?? []
        if sections.contains(where: { $0.int != 0 }) {
            throw CheckpointError(
                file: path, "rotates by several positions ('rope.dimension_sections'), which resect does not compute")
        }
    }
}

extension Settings {
    /// Refuses members of config.json that ask for something that resect does not compute.
    fileprivate func checkFixed(_ checkpoint: Checkpoint) throws(CheckpointError) {
        let path = Settings.configPath(of: checkpoint, architecture)
        let config = checkpoint.config?.value(at: path)?.object
        for (key, known) in architecture.fixed {
            guard let value = config?[key], value != .null, value != known else { continue }
            throw CheckpointError(
                file: file,
                "'\(key)' is \(value.compact); for \(architecture.name) resect computes only \(known.compact)")
        }
    }

    /// The number that is added below the root of a norm.
    func epsilon() throws(CheckpointError) -> Float {
        let role = SettingRole.normEpsilon.rawValue
        guard let epsilon = try double(role), epsilon >= 0, epsilon < 1 else {
            throw CheckpointError(file: file, "'\(key(role))' is missing or no small number")
        }
        return Float(epsilon)
    }

    /// A finite number in f32; `nil` without one.
    func number(_ role: String) throws(CheckpointError) -> Float? {
        guard let number = try double(role) else { return nil }
        guard Float(number).isFinite else {
            throw CheckpointError(file: file, "'\(key(role))' is \(number), which is no number of 32 bits")
        }
        return Float(number)
    }

    /// A number above 0; `nil` without a role or a value, and for 0, which means none.
    func positive(_ role: String?) throws(CheckpointError) -> Float? {
        guard let role, let number = try number(role), number != 0 else { return nil }
        guard number > 0 else { throw CheckpointError(file: file, "'\(key(role))' is \(number), below 0") }
        return number
    }
}
