internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// The `heal` command: cuts layers, and fits the rest to the whole model.
struct Heal: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Delete layers and heal the cut on a text.",
        discussion: """
            The layers that stay are fitted, one after the other, so that the hidden states of the cut model follow those \
            of the whole one: refit fits the output products of attention and MLP in two layers before every gap and in the \
            layers behind it, until two layers in a row gain next to nothing on held-out text; bridge fits only the MLP \
            before every gap; magnitude scales the layers behind a gap. No training is needed, and the result has the shapes of a plain cut.

            lora trains low-rank adapters on the products of the layers that stay, by default so that the cut model \
            predicts what the whole one predicts (--teacher logits), and folds them into the weights; refit,lora does so \
            after the fit. --adapter-only writes the adapter as a folder that PEFT loads. The more layers are cut, the longer it \
            trains: up to 20% of them 150 steps of 4 contexts, rank 8, rate 1e-4; up to 30% 250 steps, rate 5e-5; up to \
            40% 400 steps, rank 16; above 500 steps of 2 contexts, rate 2e-5.

            Every --corpus is a kind of text: a file, a folder of files, or builtin for several kinds that come with \
            resect. Text of several kinds heals much better than text of one. With three kinds or more one of them is \
            kept apart: a fitted weight stays only if it lowers the error there.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "Output") var output: OutputOptions
    @OptionGroup(title: "Output") var patch: PatchOption

    @OptionGroup var layers: LayersOption

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The number of layers to drop; a percentage is rounded to the nearest number.", valueName: "n|p%"))
    var drop: DropCount?

    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Text to heal with: a file, a folder, builtin, or - for standard input. Repeatable.", valueName: "text"),
        completion: .file())
    var corpus: [String] = []

    @Option(name: .long, help: ArgumentHelp("How the cut is healed.", valueName: "method"))
    var method = HealMethod(.refit)

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Also write a folder for training the healed model further on GPUs: a LoRA configuration, a script for torch, texts, and "
                + "the commands for it. The options of a training decide that one, too.", valueName: "folder"),
        completion: .directory)
    var recipe: String?

    @OptionGroup(title: "Healing") var heal: HealOptions
    @OptionGroup(title: "Training") var training: TrainingOptions

    @Flag(
        name: .long,
        help: ArgumentHelp(
            "Write the trained adapter alone, as a folder of PEFT. Its base is the model that the same command writes without lora: "
                + "with --method lora that of cut, with refit,lora that of --method refit."))
    var adapterOnly = false

    @OptionGroup(title: "Layers") var stack: LayerOptions
    @OptionGroup(title: "Layers") var predictors: PredictorOption
    @OptionGroup(title: "Measuring") var samples: SampleOptions
    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        if layers.isEmpty == (drop == nil) { throw ValidationError("use either --layers LIST or --drop N") }
        if !layers.isEmpty, heal.choose != nil {
            throw ValidationError("--layers names the layers; --choose is for --drop")
        }
        let reads = method.heals || drop != nil || recipe != nil
        if corpus.isEmpty, reads { throw ValidationError("name a text to heal with: --corpus") }
        if !corpus.isEmpty, !reads {
            throw ValidationError("--corpus is for healing; --method none with --layers reads no text")
        }
        if recipe != nil, corpus.contains("-") {
            throw ValidationError("--recipe copies the texts; standard input is read once: name a file")
        }
        try training.check(method, hasRecipe: recipe != nil)
        try patch.check(output)
        if adapterOnly, !method.trains { throw ValidationError("--adapter-only requires a training: --method lora") }
        if adapterOnly, recipe != nil { throw ValidationError("--recipe trains the model; --adapter-only writes none") }
        if adapterOnly, patch.savePatch != nil {
            throw ValidationError("--save-patch stores a model; --adapter-only writes none")
        }
        if adapterOnly, output.provenance == true {
            throw ValidationError("--provenance is for models; --adapter-only writes none")
        }
        if adapterOnly, output.dryRun { throw ValidationError("--dry-run plans a model; --adapter-only writes none") }
    }

    func run() throws {
        let model = try stack.choosing(in: model.open())
        _ = try model.layers()
        let checkpoint = try DequantizeFolder(to: .f32).apply(to: model)
        var write = WriteRun(output: output, common: common)
        write.patch = patch.run(against: model, output, common)
        (write.models, write.texts, write.others) = ([model], corpus, [training.curve, recipe])
        try write.checkHistory(of: model)
        let chooser = heal.chooser(method.closedForm, samples)
        try heal.check(Heal.self, layers.isEmpty ? chooser.rule : nil, method.closedForm, samples)
        let trainer = training.trainer(heal, output)
        try trainer.check(replaces: output.force)
        if adapterOnly, try output.form(for: model) != .folder {
            throw CheckpointError(
                file: output.output, "a trained adapter is a folder of PEFT",
                hint: "choose a folder; convert makes GGUF of it")
        }
        func edits(_ dropped: LayerRuns) throws -> [any Edit] {
            try predictors.mtp.edits + [CutLayers(layers: dropped), Convert(to: output.form(for: model))]
        }
        var dropped = try layers.union(file: model.path)
        let size = try drop?.count(of: model.layerCount, file: model.path)
        if let size { dropped = LayerRuns(SimpleRun.layers(size: size, of: model.layerCount).map { [$0] } ?? []) }
        try method.closedForm?.check(checkpoint)
        if let recipe { try TrainingRecipe.check(recipe) }
        if !method.heals {
            try Invocation.refuse(
                ["heal-samples", "memory"], of: Heal.self, "is for a heal; --method none fits nothing")
        }
        // Names and space are checked before the slow steps; any cut of this size has the same. That these layers cannot be cut
        // does not matter where others may be chosen.
        let count = size ?? dropped.count
        let planned = method.trains ? try trainer.planned(model, removed: count, threads: common.threadCount) : model
        if let cut = try size == nil ? planned.applying(edits(dropped)) : try? planned.applying(edits(dropped)) {
            try write.check(cut)
        }
        guard method.heals || size != nil else {
            write.dropped = dropped
            common.note("drops \(dropped.words) (\(dropped.count) of \(model.layerCount))")
            write.provenance = ProvenanceRun(command: Heal.self, model: model, isRecorded: true, texts: corpus)
            try write.write(model.applying(edits(dropped)))
            return try writeRecipe(model, dropped)
        }
        var sizes = HealingText.Sizes(fitting: heal.healSamples)
        sizes.ranking = size == nil ? 0 : samples.samples
        sizes.judging = 0
        if method.trains {
            sizes.training = trainer.contextCount(removed: count, of: model.layerCount)
        }
        let text = try HealingText(
            sources: try corpus.sources(besides: self.model.path), for: checkpoint, contextLength: samples.context,
            sizes: sizes, seed: heal.seed)
        for note in text.notes { common.note(note) }
        common.noteLength(of: samples.context, for: checkpoint)
        var work = common.work
        work.measures = try common.measures(of: model, beside: output)
        let (parts, run) = (HealingParts(text), samples.precision.run(threads: common.threadCount))
        PhaseCount.expect(amounts(chooser, trainer, count, size != nil, of: model.layerCount, parts))
        var chosen: [(String, Double)] = []
        if let size {
            let choice = try chooser.choose(
                size: size, in: checkpoint, text: parts, run: run, work: work)
            (dropped, chosen) = (choice.dropped, choice.perplexities)
            write.extra += choice.json
            if !common.json, !output.isStream { choice.table?.show() }
        }
        write.dropped = dropped
        common.note("drops \(dropped.words) (\(dropped.count) of \(model.layerCount))")
        let report = try method.closedForm.map { method in
            try heal.form(method).heal(checkpoint, dropping: dropped, text: parts, run: run, work: work)
        }
        report?.say(common)
        write.extra += report?.json ?? []
        write.provenance = ProvenanceRun(
            command: Heal.self, model: model, isRecorded: true, texts: corpus,
            measured: report?.result.perplexities ?? chosen)
        let fitted = try report?.result.weights.edit.apply(to: model) ?? model
        guard method.trains, !output.dryRun else {
            let plan = method.trains ? try trainer.planned(fitted, removed: count, threads: common.threadCount) : fitted
            try write.write(plan.applying(edits(dropped)))
            if !output.dryRun { ResumedFile.removeAll(beside: output.output) }
            return try writeRecipe(model, dropped)
        }
        let trained = try trainer.train(
            model, fitted: fitted, without: dropped, text: parts, threads: common.threadCount, work: work)
        trained.say(common)
        write.extra += trained.json
        let healed =
            adapterOnly
            ? trained.result.adapter
            : try trained.folded(into: fitted, threads: common.threadCount).applying(edits(dropped))
        if adapterOnly, let fit = method.closedForm {
            common.note(
                "the base of the adapter is what heal writes with --method \(fit.rawValue) and the same options")
        }
        try write.write(healed)
        ResumedFile.removeAll(beside: output.output)
        try trainer.finish(trained, replaces: output.force)
        try writeRecipe(model, dropped)
    }

    /// The phases of the work.
    private func amounts(
        _ chooser: CutChooser, _ trainer: AdapterTrainer, _ size: Int, _ chooses: Bool, of layers: Int,
        _ text: HealingParts
    ) -> [WorkAmount] {
        var amounts = chooses ? chooser.amounts(size: size, of: layers, text: text) : []
        if let form = method.closedForm.map(heal.form) { amounts.append(form.amount(text)) }
        if output.dryRun { return amounts }
        if method.trains { amounts += trainer.amounts(removed: Double(size) / Double(max(1, layers)), text: text) }
        return amounts + [.write] + (patch.savePatch == nil ? [] : [.pack])
    }
}
