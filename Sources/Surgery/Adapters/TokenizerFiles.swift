internal import Checkpoints
internal import Formats

/// The files of a tokenizer in a folder.
struct TokenizerFiles: Sendable {
    /// The folder.
    let path: String
    /// The files, in order of their names.
    let files: [Checkpoint.Companion]

    private static let prefixes = [
        "tokenizer.", "tokenizer_config.", "chat_template.", "vocab.", "merges.", "special_tokens_map.",
        "added_tokens.",
        "spiece.", "sentencepiece.",
    ]
    private static let endings = [".json", ".txt", ".model", ".jinja", ".tiktoken", ".v3", ".v7", ".v11"]
    /// The sub-folder of named chat templates.
    private static let templates = "additional_chat_templates"
    private static let maximumByteCount = 64 << 20

    /// Whether a file of a folder belongs to the tokenizer.
    static func isOne(_ name: String) -> Bool {
        if name.hasPrefix(templates + "/") { return name.hasSuffix(".jinja") }
        return prefixes.contains(where: name.hasPrefix) && endings.contains(where: name.hasSuffix)
            || name.hasSuffix(".tiktoken")
    }

    /// Whether a file lists tokens; the others only say how they are used.
    private static func holdsTokens(_ name: String) -> Bool {
        let settings = [
            "tokenizer_config.", "chat_template.", "special_tokens_map.", "added_tokens.", "merges.", templates,
        ]
        return !settings.contains(where: name.hasPrefix)
    }

    /// The tokenizer in a folder; `nil` where no file lists tokens.
    init?(in path: String) throws(CheckpointError) {
        var names = try FileSystem.names(in: path)
        if names.contains(Self.templates), FileSystem.kind(of: path + "/" + Self.templates) == .folder {
            names += try FileSystem.names(in: path + "/" + Self.templates).map { Self.templates + "/" + $0 }
        }
        names = names.filter { Self.isOne($0) && FileSystem.kind(of: path + "/" + $0) == .file }
        guard names.contains(where: Self.holdsTokens) else { return nil }
        self.path = path
        files = try names.sorted().map { (name) throws(CheckpointError) in
            .init(name: name, contents: try FileSystem.contents(of: path + "/" + name, limit: Self.maximumByteCount))
        }
    }

    /// The files that list tokens.
    private var tokens: [Checkpoint.Companion] { files.filter { Self.holdsTokens($0.name) } }

    /// Whether another tokenizer has the same files of tokens.
    func hasTokens(of other: TokenizerFiles) -> Bool {
        tokens.map(\.name) == other.tokens.map(\.name)
            && zip(tokens, other.tokens).allSatisfy { $0.contents == $1.contents }
    }

    /// Whether a checkpoint has the same files.
    func areThose(of checkpoint: Checkpoint) -> Bool {
        files.allSatisfy { checkpoint.companion($0.name)?.contents == $0.contents }
    }

    /// One more than the highest id in tokenizer.json; `nil` without that file.
    func count() throws(CheckpointError) -> Int? {
        guard let file = files.first(where: { $0.name == "tokenizer.json" }) else { return nil }
        let tokenizer = try FileSystem.json(file.contents, path: path + "/" + file.name)
        let model = tokenizer["model"]?["vocab"]
        let listed = model?.array?.count ?? 0
        let highest = model?.object?.members.lazy.compactMap { $0.1.int }.max() ?? -1
        let added = (tokenizer["added_tokens"]?.array ?? []).compactMap { $0["id"]?.int }.max() ?? -1
        return max(listed - 1, highest, added).addingReportingOverflow(1).partialValue
    }
}

extension Checkpoint {
    /// Replaces the tokenizer by that of an adapter if the two differ, because the adapter was trained with it.
    ///
    /// - Throws: when adapters have different tokens, or more tokens than the embedding has rows.
    mutating func takeTokenizer(of adapters: [Adapter]) throws(CheckpointError) {
        let others = adapters.compactMap(\.tokenizer).filter { !$0.areThose(of: self) }
        guard form == .folder, let tokenizer = others.first else { return }
        if let other = others.first(where: { !$0.hasTokens(of: tokenizer) }) {
            throw CheckpointError(
                file: other.path, "has other tokens than \(tokenizer.path), and the result can have one tokenizer",
                hint: "remove the tokenizer files of one of them")
        }
        if let names = EmbeddingNames(self), let embedding = tensor(named: names.embedding),
            let rows = embedding.shape.first, let count = try tokenizer.count(), count > rows
        {
            throw CheckpointError(
                file: tokenizer.path + "/tokenizer.json",
                "has \(count.grouped) tokens, and \(names.embedding) of the result has \(rows.grouped) rows: the adapter does "
                    + "not hold the new ones",
                hint: "remove its tokenizer files to keep the tokenizer of the base")
        }
        let names = tokenizer.files.map(\.name)
        companions = (companions.filter { !TokenizerFiles.isOne($0.name) } + tokenizer.files)
            .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        note("the tokenizer is that of \(tokenizer.path): \(names.joined(separator: ", "))")
    }
}
