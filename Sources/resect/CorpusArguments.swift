internal import Analysis
internal import ArgumentParser
internal import Checkpoints

/// The texts that a model is measured on.
struct CorpusOption: ParsableArguments {
    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "Text: a file, a folder of files, builtin, or - for standard input. Repeatable.", valueName: "text"),
        completion: .file())
    var corpus: [String]
}

extension [String] {
    /// The texts that --corpus or --evaluation name: files, folders, `builtin`, or `-` for standard input.
    ///
    /// - Parameter model: the path of the model, which may be standard input too.
    /// - Throws: when standard input would be read twice, or a text is named twice.
    func sources(besides model: String) throws -> [TextSource] {
        if model == "-", contains("-") {
            throw ValidationError("standard input is the model; it cannot be a text too")
        }
        let sources = map(TextSource.init(argument:))
        for (index, source) in sources.enumerated() {
            guard let other = sources[..<index].first(where: source.shares) else { continue }
            let same = other.name == source.name ? "" : ", also as \(other.name)"
            throw CheckpointError(file: source.name, "is given twice as text\(same)")
        }
        return sources
    }
}
