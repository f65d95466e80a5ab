internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// Adds adapters to a model.
struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Add LoRA adapters to the weights of their base model.",
        discussion: """
            An adapter is a folder that PEFT or mlx-lm saved (unsloth and axolotl save PEFT's), or a GGUF file of llama.cpp. \
            A folder's adapter can be merged into a GGUF model and a GGUF adapter into a folder if resect converts models of \
            the architecture; resect formats lists them. An adapter of another model is refused.

            Changes are computed in f32, and each changed weight is rounded once: to the type it had, to --dtype, or to --type, \
            which quantizes in the same pass and takes the options of quantize. Without --type, changed weights of a \
            quantized model are written as BF16. Weights that no adapter changes are copied. If an adapter was trained with \
            more or fewer tokens than the model has, its embeddings replace those of the model, and so does a tokenizer that \
            was saved with it.

            The table lists every changed weight: the rank and the scale of its change, the Frobenius norm of the change, and \
            the share of it that is left after rounding. BF16 loses much of a change that is small beside the weight; a \
            warning names the weights that keep less than half.

            QLoRA trains an adapter on a quantized base: --base-rounding rounds the model as that training did before the \
            adapter is added. nf4-double and fp4-double have quantized scales (double quantization).
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup(title: "Adapters") var adapters: AdapterOptions

    @Option(name: .long, help: ArgumentHelp("Write all weights in this type.", valueName: "type"))
    var dtype: FloatType?

    @Option(
        name: .long,
        help: ArgumentHelp("Quantize the result to this type.", valueName: "type"))
    var type: WeightType?

    @OptionGroup(title: "Folder formats") var folderFormat: FolderFormatOptions
    @OptionGroup(title: "Quantization") var inputs: QuantizeInputs
    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        if adapters.adapter.isEmpty { throw ValidationError("name an adapter with --adapter") }
        if dtype != nil, type != nil {
            throw ValidationError("--dtype and --type both say a type; leave one of them out")
        }
        let isFolderType = type?.folder != nil
        if !isFolderType, !folderFormat.isEmpty || inputs.allowPlain {
            throw ValidationError(
                "--group-size, --symmetric, --checkpoint-format, --block-size, --double-quant and --allow-plain are for "
                    + "the types of folders: \(FolderType.names)")
        }
        if type == nil || isFolderType, !inputs.suitFolders || inputs.allowRequantize {
            throw ValidationError("--imatrix, --allow-requantize and --allow-nonfinite go with a --type of GGUF")
        }
    }

    func run() throws {
        let opened = try adapters.rounding(model.open())
        let goal = try MergeGoal(self, base: opened)
        let (merged, base) = try adapters.merge(into: opened, threads: common.threadCount).outcome(of: opened)
        let values = try goal.values(of: merged)
        let result = try goal.output(of: merged, values, says: true)
        var write = WriteRun(output: output, common: common)
        write.provenance = ProvenanceRun(
            command: Merge.self, model: opened, isRecorded: true,
            others: adapters.files + (inputs.imatrix.map { [("imatrix", $0)] } ?? []))
        // The report is measured only when it is shown.
        if common.json || !common.quiet {
            let baseValues = try goal.values(of: base)
            let report = try MergeReport(
                merged: values, base: baseValues, output: result, baseOutput: goal.output(of: base, baseValues),
                threads: common.threadCount)
            for text in report.warnings { common.note(text) }
            write.extra = [("modules", .array(report.modules.map(\.json)))]
            if !common.json, !output.isStream, !output.dryRun { report.print() }
        }
        try write.write(result)
    }
}

/// What becomes of a merged model: its container and the type of its weights.
struct MergeGoal {
    /// The last edit, which rounds values.
    private enum Last {
        case none
        case cast(DType)
        case quantize(Quantize)
        case folder(FolderType, FolderQuantizationSettings)
    }

    private let form: Checkpoint.Form
    private let last: Last
    private let command: Merge

    init(_ command: Merge, base: Checkpoint) throws {
        self.command = command
        form = try command.output.form(for: base)
        if let dtype = command.dtype {
            last = .cast(dtype.dtype)
        } else if let type = command.type {
            if let folder = type.folder {
                try command.folderFormat.check(for: folder)
                last = .folder(folder, command.folderFormat.settings)
            } else {
                var settings = Quantize.Settings(try Mixture.asked(type.name))
                command.inputs.apply(
                    to: &settings, matrix: try command.inputs.matrix(),
                    dropped: try command.inputs.imatrixDropped.union(file: base.path))
                last = .quantize(Quantize(settings))
            }
        } else {
            last = .none
        }
    }

    /// The values that are rounded last, in the container of the output.
    func values(of checkpoint: Checkpoint) throws -> Checkpoint {
        let plain = try DequantizeFolder(to: .f32).apply(to: checkpoint)
        return try Convert(to: form, dtype: (plain.form == .gguf) == (form == .gguf) ? nil : .f32).apply(to: plain)
    }

    /// A model as it is written.
    ///
    /// - Parameter values: what `values` gives for it.
    func output(of checkpoint: Checkpoint, _ values: Checkpoint, says: Bool = false) throws -> Checkpoint {
        switch last {
        case .none: return try Convert(to: form).apply(to: checkpoint)
        case .cast(let type): return try Convert(to: form, dtype: type).apply(to: checkpoint)
        case .quantize(let quantize): return try quantize.apply(to: values)
        case .folder(let type, let settings):
            let plan = try QuantizeFolder(type, settings: settings)
                .plan(Convert(to: form).apply(to: checkpoint), threads: command.common.threadCount)
            if says {
                try plan.check(
                    type, of: checkpoint, allowsRequantize: command.inputs.allowRequantize,
                    allowsPlain: command.inputs.allowPlain)
                for note in plan.obstacleNotes { command.common.note(note) }
            }
            return plan.checkpoint
        }
    }
}
