public import Analysis
public import Checkpoints
public import Surgery

/// Makes a model smaller: finds the layers that matter least, cuts them, heals the cut, quantizes, writes, and compares the
/// result with the whole model. The command `resect shrink` does no more than this.
///
///     var shrink = Shrink(drop: 3, corpus: [.builtin], run: RunOptions(threads: 8))
///     shrink.target = try ShrinkTarget(named: "Q4_K_M")
///     let result = try shrink.run(Checkpoint.open("model"), to: "small.gguf")
///     print(result.dropped.words, result.steps.steps.last?.divergences)
public struct Shrink: Sendable {
    /// How many layers are cut.
    public var drop: Int
    /// Text for choosing the layers and for healing; each source is a kind, and `builtin` is several.
    public var corpus: [TextSource]
    /// Text that only judges, each a kind; without any, text judges that nothing was fitted on.
    public var evaluation: [TextSource] = []
    /// Tokens in a context.
    public var contextLength = 512
    /// Contexts on which distances are measured.
    public var rankingSamples = 16
    /// Contexts that weights are fitted on.
    public var healSamples = 192
    /// Contexts that judge.
    public var evaluationSamples = 32
    /// Decides which contexts are taken, and their order.
    public var seed: UInt64 = 0

    /// How the layers are chosen. Where nothing heals, the rule `healed` is the rule `loss`.
    public var chooser: CutChooser
    /// The heal without training; `nil` for none.
    public var form: ClosedForm?
    /// The training of adapters after it; `nil` for none.
    public var trainer: AdapterTrainer?

    /// The type of the weights.
    public var target = ShrinkTarget.unchanged
    /// Whether modules for multi-token prediction are left out.
    public var dropsPredictors = false
    /// Whether weights that are quantized already may be rounded again.
    public var allowsRequantize = false
    /// Whether more than a tenth of the weights may stay unquantized in a folder.
    public var allowsPlain = false
    /// The container of the output; `nil` for what its name asks for.
    public var container: Checkpoint.Form?

    /// What the output says of how it was made: the command and the options that `resect apply` repeats. Hashes of the
    /// model and of the texts, the layers and perplexities are added.
    ///
    /// With `nil` the output says nothing, not even what the model says of itself, because this step would be missing there:
    /// the settings of a program are not the options of a command, so only the program can tell how its work is done again.
    public var record: Provenance.Step?

    /// How models are run.
    public var run: RunOptions

    /// The steps of the command without options: a refit, chosen among healed cuts.
    ///
    /// - Parameters:
    ///   - drop: how many layers are cut.
    ///   - corpus: text of several kinds; a heal that was fitted on one kind gains little on others.
    ///   - run: how models are run.
    public init(drop: Int, corpus: [TextSource], run: RunOptions) {
        self.drop = drop
        self.corpus = corpus
        self.run = run
        let form = ClosedForm()
        self.form = form
        chooser = CutChooser(.healed, form: form)
    }

    /// Whether anything is fitted or trained.
    var heals: Bool { form != nil || trainer != nil }

    /// The container of an output.
    func container(of path: String) -> Checkpoint.Form { container ?? OutputPlan.form(ofPath: path) }

    /// The edits that give the output its container and its type.
    func edits(
        for model: Checkpoint, _ path: String, without dropped: LayerRuns
    ) -> (before: [any Edit], last: (any Edit)?) {
        target.edits(for: model, to: container(of: path), without: dropped, allowsRequantize: allowsRequantize)
    }

    /// The output that is made of a model without some layers.
    func output(_ model: Checkpoint, without dropped: LayerRuns, path: String) throws(CheckpointError) -> Checkpoint {
        let (before, last) = edits(for: model, path, without: dropped)
        let cut: [any Edit] = dropped.isEmpty ? [] : [CutLayers(layers: dropped)]
        let predictors: [any Edit] = dropsPredictors ? [DropPredictors()] : []
        return try model.applying(predictors + cut + before + [last].compactMap(\.self))
    }
}
