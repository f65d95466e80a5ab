internal import Analysis
public import Checkpoints
internal import Decoder
internal import Surgery

/// What can be done with a checkpoint. Every answer comes from the check that the command itself makes before it works;
/// no weights are read.
public struct ModelAbilities: Sendable {
    /// Something that commands do.
    public enum Ability: String, Sendable, CaseIterable {
        /// Compute with it: analyze, evaluate, generate.
        case run
        /// Write it as GGUF.
        case gguf
        /// Write it as a Hugging Face folder.
        case folder
        /// Fit the layers around a cut without training.
        case heal
        /// Train low-rank adapters.
        case train
        /// Turn text into its tokens.
        case tokenize
        /// Delete layers.
        case cut
        /// Store its weights in fewer bits.
        case quantize
    }

    /// Why each ability is missing; `nil` where it is there.
    public let refusals: [(ability: Ability, reason: CheckpointError?)]

    /// Makes the checks.
    ///
    /// - Parameters:
    ///   - checkpoint: the model, as it was opened.
    ///   - abilities: those that are asked for.
    public init(_ checkpoint: Checkpoint, _ abilities: [Ability] = Ability.allCases) {
        let checks = AbilityChecks(checkpoint)
        refusals = abilities.map { ($0, checks.refusal(of: $0)) }
    }

    /// The abilities that are there.
    public var possible: [Ability] { refusals.filter { $0.reason == nil }.map(\.ability) }
}

/// The checks of one checkpoint, which share what they find out.
private struct AbilityChecks {
    private let checkpoint: Checkpoint
    private let plain: Result<Checkpoint, CheckpointError>
    private let run: CheckpointError?
    /// The model in the other container.
    private let converted: Result<Checkpoint, CheckpointError>
    /// Why there is no tokenizer; `nil` where there is one.
    private let tokenizer: CheckpointError?

    init(_ checkpoint: Checkpoint) {
        self.checkpoint = checkpoint
        // An unknown architecture is refused before its tensors are looked through.
        plain = Result { () throws(CheckpointError) in
            guard checkpoint.architecture != nil else { return checkpoint }
            return try DequantizeFolder(to: .f32).apply(to: checkpoint)
        }
        run = AbilityChecks.refusal { [plain] () throws(CheckpointError) in _ = try DecoderModel(plain.get()) }
        let form: Checkpoint.Form = checkpoint.form == .gguf ? .folder : .gguf
        // One after the other: both read the vocabulary, and memory should hold it once.
        converted = Result { () throws(CheckpointError) in try Convert(to: form).apply(to: checkpoint) }
        tokenizer = AbilityChecks.refusal { () throws(CheckpointError) in _ = try Corpus.tokenizer(of: checkpoint) }
    }

    private static func refusal(_ check: () throws(CheckpointError) -> Void) -> CheckpointError? {
        do throws(CheckpointError) { try check() } catch { return error }
        return nil
    }

    func refusal(of ability: ModelAbilities.Ability) -> CheckpointError? {
        switch ability {
        case .run: run
        case .gguf: checkpoint.form == .gguf ? nil : conversion
        case .folder: checkpoint.form == .folder ? nil : conversion
        case .tokenize: tokenizer
        case .heal:
            run
                ?? AbilityChecks.refusal { () throws(CheckpointError) in try ClosedForm.Method.refit.check(plain.get())
                }
        case .train: run ?? training
        case .cut: cut
        case .quantize: quantization
        }
    }

    private var conversion: CheckpointError? { if case .failure(let error) = converted { error } else { nil } }

    /// A model of GGUF is trained under the names of a folder.
    private var training: CheckpointError? {
        AbilityChecks.refusal { () throws(CheckpointError) in
            let folder = checkpoint.form == .gguf ? try converted.get() : checkpoint
            try LoRATraining.check(DequantizeFolder(to: .f32).apply(to: folder))
        }
    }

    /// Whether some layer can be deleted; the middle ones are tried first.
    private var cut: CheckpointError? {
        var refusal: CheckpointError?
        do throws(CheckpointError) {
            try checkpoint.requireModel()
            let count = try checkpoint.layers()?.decoderCount ?? 0
            guard count > 1 else {
                return CheckpointError(file: checkpoint.path, "has \(count) layers, and one has to stay")
            }
            let middle = count / 2
            for layer in (0..<count).sorted(by: { abs($0 - middle) < abs($1 - middle) }).prefix(8) {
                do throws(CheckpointError) {
                    _ = try CutLayers(layers: layer..<layer + 1).apply(to: checkpoint)
                    return nil
                } catch { refusal = refusal ?? error }
            }
        } catch { return error }
        return refusal
    }

    /// Whether weights can be stored in fewer bits: as GGUF, or else in a folder.
    private var quantization: CheckpointError? {
        let gguf = checkpoint.form == .gguf ? Result.success(checkpoint) : converted
        let refusal = AbilityChecks.refusal { () throws(CheckpointError) in
            guard let mixture = Mixture.named("Q4_K_M") else { preconditionFailure("Q4_K_M is a known type") }
            _ = try Quantize(Quantize.Settings(mixture)).apply(to: gguf.get())
        }
        guard refusal != nil, checkpoint.form != .gguf else { return refusal }
        return AbilityChecks.refusal { () throws(CheckpointError) in
            _ = try QuantizeFolder(.w4a16).plan(checkpoint)
        }
    }
}
