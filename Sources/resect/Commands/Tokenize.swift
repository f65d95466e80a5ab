internal import Analysis
internal import ArgumentParser

/// The `tokenize` command.
struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print the token ids of a text from the model's own tokenizer.",
        discussion: "With --json: {\"ids\": […]}; otherwise one id per line.")

    @OptionGroup var model: ModelArgument

    @Option(
        name: .long,
        help: ArgumentHelp("Text: a file, a folder of files, builtin, or - for standard input.", valueName: "text"),
        completion: .file())
    var text: String

    @OptionGroup(title: "General") var common: CommonOptions

    func run() throws {
        let source = try [text].sources(besides: model.path)[0]
        let ids = try Corpus.tokens(of: source, for: try model.open(), threads: common.threadCount)
        // A text may have millions of tokens, so their digits are written without strings between.
        var bytes = Array((common.json ? "{\"ids\":[" : "").utf8)
        for (index, id) in ids.enumerated() {
            if common.json, index > 0 { bytes.append(UInt8(ascii: ",")) }
            Tokenize.append(id, to: &bytes)
            if !common.json { bytes.append(0x0A) }
            if bytes.count > 1 << 16 {
                bytes.withUnsafeBytes(Output.send)
                bytes.removeAll(keepingCapacity: true)
            }
        }
        if common.json { bytes += Array("]}\n".utf8) }
        bytes.withUnsafeBytes(Output.send)
    }

    private static func append(_ id: Int32, to bytes: inout [UInt8]) {
        let start = bytes.count
        var rest = id
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        bytes[start...].reverse()
    }
}
