internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `generate` command.
struct Generate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Continue a text, to see whether a model still writes sense.",
        discussion: """
            Each step takes the most likely token, or with --temperature above 0 a random one; the same --seed gives the same \
            text. Special tokens can be written in the prompt (<|im_start|>). The text ends at an end-of-text or end-of-turn \
            token of the model, or after --tokens. --layers tries a cut before anything is written.

            With --json: {"text", "tokens", "ending", "promptTokens", "promptSeconds", "seconds", "tokensPerSecond"}; ending \
            is "end" or "limit".
            """)

    @OptionGroup var model: ModelArgument

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The text to continue, or - for standard input; a final line break is removed.", valueName: "text")
    )
    var prompt: String

    @Option(name: .long, help: ArgumentHelp("The largest number of new tokens.", valueName: "n"))
    var tokens = 64

    @Option(
        name: .long, help: ArgumentHelp("Divisor of the logits; 0 takes the most likely token.", valueName: "x"))
    var temperature = 0.0

    @Option(
        name: .long, help: ArgumentHelp("Choose among the n most likely tokens only. Default: all.", valueName: "n"))
    var topK: Int?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Choose among the most likely tokens that together reach this probability. Default: all.", valueName: "p"))
    var topP: Double?

    @Option(name: .long, help: ArgumentHelp("Seed of the random choices. Default: 0.", valueName: "n"))
    var seed: UInt64?

    @Flag(name: .long, help: "Show special tokens in the text.")
    var special = false

    @OptionGroup var layers: LayersOption

    @OptionGroup(title: "General") var common: CommonOptions

    func validate() throws {
        if tokens < 1 { throw ValidationError("--tokens must be 1 or more") }
        if !(0...1e6).contains(temperature) { throw ValidationError("--temperature must be a number from 0 to 1e6") }
        if let topK, topK < 1 { throw ValidationError("--top-k must be 1 or more") }
        if let topP, !(topP > 0 && topP <= 1) { throw ValidationError("--top-p must be above 0 and at most 1") }
        if temperature == 0, topK != nil || topP != nil || seed != nil {
            throw ValidationError(
                "--top-k, --top-p and --seed require --temperature above 0")
        }
        if prompt == "-", model.path == "-" {
            throw ValidationError("only one of MODEL and --prompt can be standard input")
        }
    }

    func run() throws {
        let text = prompt == "-" ? try PipedText.prompt() : prompt
        let whole = try model.openPlain()
        let cut = layers.isEmpty ? nil : try layers.union(file: model.path)
        let checkpoint = try cut.map { try CutLayers(layers: $0).apply(to: whole) } ?? whole
        for note in checkpoint.notes { common.note(note) }
        if let cut { common.note("without \(cut.words) (\(cut.count) of \(whole.layerCount))") }
        var options = Generation.Options()
        (options.tokens, options.temperature, options.topK, options.topP) = (tokens, temperature, topK, topP)
        (options.seed, options.showsSpecial) = (seed ?? 0, special)
        let result = try Generation.run(
            checkpoint, prompt: text, options: options, run: RunOptions(threads: common.threadCount)
        ) { piece in
            if !common.json { Output.stream(piece) }
        }
        if common.json {
            Output.json(json(result, cut))
        } else {
            Output.line()
        }
        // The model does not run over the last token, unless another one ends the text.
        let last = result.ending == .end ? 0 : 1
        common.noteLength(of: result.promptCount + result.tokens.count - last, for: checkpoint)
        if result.ending == .context { common.note("the model has no position for another token") }
        common.note(
            "\(counted(result.promptCount, "prompt token")) in \(result.promptSeconds.fixed(2)) s, "
                + "\(counted(result.tokens.count, "new token")) in \(result.seconds.fixed(2)) s")
    }

    private func json(_ result: Generation, _ cut: LayerRuns?) -> JSONObject {
        var object = JSONObject([
            ("text", .string(result.text)), ("tokens", .array(result.tokens.map { .int(Int($0)) })),
            ("ending", .string(result.ending.rawValue)), ("promptTokens", .int(result.promptCount)),
        ])
        object["dropped"] = cut.map { .array($0.texts.map(JSON.string)) }
        object["promptSeconds"] = .double(result.promptSeconds)
        object["seconds"] = .double(result.seconds)
        object["tokensPerSecond"] = .double(Double(result.tokens.count) / max(result.seconds, 1e-9))
        return object
    }
}
