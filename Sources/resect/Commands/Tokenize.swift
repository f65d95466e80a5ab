internal import Analysis
internal import ArgumentParser
internal import Formats

/// The `tokenize` command.
struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the token ids of a text from the model's own tokenizer.",
        discussion: "With --json: {\"ids\": […]}; otherwise one id per line.")

    @OptionGroup var model: ModelArgument

    @Option(name: .long, help: ArgumentHelp("A file of UTF-8 text.", valueName: "file"))
    var text: String

    @OptionGroup var common: CommonOptions

    func run() throws {
        let ids = try Corpus.tokens(path: text, for: try model.open())
        if common.json {
            Output.json(JSONObject([("ids", .array(ids.map { .int(Int($0)) }))]))
        } else {
            for id in ids { Output.line(String(id)) }
        }
    }
}
