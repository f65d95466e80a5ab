internal import Analysis
internal import Checkpoints
internal import Formats

/// The texts of a training recipe: lists of files by kind, and the files that come with resect.
struct RecipeTexts {
    /// Kinds to train on, with the paths of their files.
    let training: JSON
    /// Kinds that judge: documents of resect's own text, whatever is trained on.
    let judging: JSON
    /// Files to write.
    let files: [(name: String, contents: [UInt8])]

    /// - Throws: when a source is missing, or holds no text.
    init(corpus: [String]) throws(CheckpointError) {
        var files: [(name: String, contents: [UInt8])] = []
        func entry(_ kind: TextKind, _ judges: Bool) -> JSON {
            let paths = kind.documents.enumerated().map { number, document in
                switch document {
                case .file(let path, _): return FileSystem.absolute(path)
                case .text(_, let bytes):
                    let name = "texts/\(kind.name.lastPathComponent)\(judges ? "-judging" : "")-\(number + 1).txt"
                    files.append((name, bytes))
                    return name
                case .tokens: preconditionFailure("no argument names tokens")
                }
            }
            return .object(JSONObject([("kind", .string(kind.name)), ("files", .array(paths.map(JSON.string)))]))
        }
        var training: [JSON] = []
        for source in corpus {
            for kind in try TextKind.kinds(of: TextSource(argument: source)) { training.append(entry(kind, false)) }
        }
        let judging = BuiltinText.kinds(judging: true).map { entry($0, true) }
        self.training = .array(training)
        self.judging = .array(judging)
        self.files = files
    }
}
