internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats

/// How similar the layers are.
struct Analyze: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Measure how similar the layers are, and which blocks matter least.",
        discussion: """
            The distance of two layers is the angle between their inputs as a share of a half turn, at the last token \
            of every context (arXiv 2403.17887). For every size n the block with the least distance between its \
            input and its output is chosen; the last layer stays unless --include-last is given. With --drop, the \
            five nearest blocks of that size are run as if they were cut, and their loss is printed.

            With --json, or in the file of -o: {"layers": L, "samples", "context", "tokens", "distance": {"last": M, \
            "all": M}, "blocks": [{"start", "end", "distance", "loss"}]}; M is (L+1) x (L+1), index L is the raw \
            output of the last layer; "all" is there with --tokens all.
            """)

    @OptionGroup var model: ModelArgument

    @Option(name: .long, help: ArgumentHelp("A file of UTF-8 text.", valueName: "text"))
    var corpus: String

    @Option(name: .shortAndLong, help: ArgumentHelp("A file to write the analysis to, as JSON.", valueName: "file"))
    var output: String?

    @Flag(name: .long, help: "Replace an output that exists.")
    var force = false

    @Option(name: .long, help: ArgumentHelp("Measure the loss of the nearest blocks of this size.", valueName: "n|p%"))
    var drop: DropCount?

    @OptionGroup var stack: LayerOptions
    @OptionGroup var samples: SampleOptions
    @OptionGroup var common: CommonOptions

    func run() throws {
        let checkpoint = try stack.choosing(in: model.openPlain())
        if let output { try SmallFile.check(output, replaces: force) }
        let size = try drop?.count(of: checkpoint.layerCount, file: model.path)
        let text = try Corpus(
            path: corpus, for: checkpoint, contextLength: samples.context, limit: samples.samples)
        for note in checkpoint.notes { common.note(note) }
        common.noteLength(of: samples.context, for: checkpoint)
        if text.contexts.count < samples.samples {
            common.note(
                "\(corpus) holds \(text.contexts.count) contexts of \(samples.context) tokens; \(samples.samples) were asked for"
            )
        }
        let run = samples.precision.run(threads: common.threadCount)
        let chooser = BlockChooser(checkpoint: checkpoint, common: common)
        let similarity = try chooser.similarity(text, samples, run: run)
        var blocks = similarity.chosenBlocks(
            overAllTokens: samples.tokens == .all, includesLast: samples.includeLast)
        var loss: BlockLoss?
        if let size {
            let candidates = try chooser.candidates(
                similarity, size: size, overAllTokens: samples.tokens == .all, includesLast: samples.includeLast)
            let part = text.prefix(BlockChooser.lossContexts)
            let measured = try chooser.measure(candidates, corpus: part, run: run)
            loss = measured
            for index in blocks.indices {
                blocks[index].loss = measured.blocks.first { $0.layers == blocks[index].layers }?.loss
            }
        }
        let object = AnalysisFile.json(similarity, blocks: blocks, candidates: loss)
        if let output { try AnalysisFile.write(object, to: output, force: force) }
        if common.json { return Output.json(object) }
        HeatMap.print(similarity, overAllTokens: samples.tokens == .all, includesLast: samples.includeLast)
        if let loss { BlockReport.print(loss) }
    }
}
