public import Checkpoints
internal import Decoder
package import Tokenization

/// A text as the tokens of one model, cut into contexts of equal length.
public struct Corpus: Sendable {
    /// What messages call the text: its file, or the names of its sources.
    public let path: String
    /// Tokens in a context.
    public let contextLength: Int
    /// The contexts in order; a remainder shorter than a context is dropped.
    public let contexts: [[Int32]]
    /// How many tokens all contexts have.
    public var tokenCount: Int { contexts.reduce(0) { $0 + $1.count } }
    /// What the user should know about the texts, one sentence each.
    public let notes: [String]
    /// The BOS token, where the model has one.
    let beginning: Int32?

    /// Reads and tokenizes a file, or the files of a folder.
    ///
    /// - Parameters:
    ///   - path: a file of UTF-8 text, or a folder.
    ///   - checkpoint: the model whose tokenizer is used.
    ///   - contextLength: tokens in a context, at least 2.
    ///   - limit: the maximum number of contexts; `nil` uses the whole text.
    /// - Throws: when the model cannot be run, or the text is empty, not UTF-8, or fills no context.
    public init(
        path: String, for checkpoint: Checkpoint, contextLength: Int, limit: Int? = nil
    ) throws(CheckpointError) {
        try self.init([.path(path)], for: checkpoint, contextLength: contextLength, limit: limit)
    }

    /// Reads and tokenizes texts. Contexts of several kinds of text alternate, so that the first ones are of all kinds.
    ///
    ///     let corpus = try Corpus([.path("book.txt"), .text(prompt), .builtin], for: model, contextLength: 512, limit: 32)
    ///
    /// - Parameters:
    ///   - sources: files, folders, strings, tokens, or the text that comes with resect.
    ///   - checkpoint: the model whose tokenizer is used.
    ///   - contextLength: tokens in a context, at least 2.
    ///   - limit: the maximum number of contexts; `nil` uses all text.
    ///   - judges: whether `builtin` gives the documents that are held out for evaluation, on which no weights are fitted.
    /// - Throws: when the model cannot be run, or a text is empty, not UTF-8, or fills no context.
    public init(
        _ sources: [TextSource], for checkpoint: Checkpoint, contextLength: Int, limit: Int? = nil, judges: Bool = false
    ) throws(CheckpointError) {
        try Corpus.check(contextLength: contextLength, limit: limit)
        guard !sources.isEmpty else { throw CheckpointError("no text is given") }
        // Report a model that cannot be run before a missing tokenizer.
        _ = try DecoderModel(checkpoint)
        let tokenizer = try Corpus.tokenizer(of: checkpoint)
        let wanted = limit.map { $0.multipliedReportingOverflow(by: contextLength) }
        let most = wanted.map { $0.overflow ? Int.max : $0.partialValue } ?? Int.max
        var kinds: [[[Int32]]] = [], names: [String] = [], notes: [String] = []
        for source in sources {
            for kind in try TextKind.kinds(of: source, judging: judges) {
                var skipped: [String] = []
                let tokens = try kind.tokens(tokenizer, limit: most, skipped: &skipped)
                kinds.append(try Corpus.contexts(tokens, contextLength: contextLength, name: kind.name))
                names.append(kind.name)
                guard let first = skipped.first else { continue }
                notes.append(
                    "\(kind.name): leaves out \(counted(skipped.count, "file")) that \(skipped.count == 1 ? "is" : "are") not "
                        + "UTF-8 text, such as \(first.lastPathComponent)")
            }
        }
        if let limit, limit < names.count {
            notes.append("\(limit) contexts leave out \(names[limit...].joined(separator: ", "))")
        }
        self.notes = notes
        path = sources.map(\.name).joined(separator: ", ")
        self.contextLength = contextLength
        beginning = tokenizer.beginning
        contexts = Array(Corpus.inTurn(kinds).prefix(limit ?? .max))
    }

    /// Tokens as contexts, without the tokenizer of a model.
    ///
    /// - Parameters:
    ///   - tokens: the tokens of the text.
    ///   - contextLength: tokens in a context, at least 2; a remainder shorter than a context is dropped.
    ///   - limit: the maximum number of contexts; `nil` uses all tokens.
    ///   - beginning: the BOS token, where the model has one.
    ///   - name: what messages call the text.
    /// - Throws: when the tokens fill no context.
    public init(
        tokens: [Int32], contextLength: Int, limit: Int? = nil, beginning: Int32? = nil, name: String = "tokens"
    ) throws(CheckpointError) {
        try Corpus.check(contextLength: contextLength, limit: limit)
        let all = try Corpus.contexts(tokens, contextLength: contextLength, name: name)
        self.init(
            path: name, contextLength: contextLength, contexts: Array(all.prefix(limit ?? .max)), beginning: beginning)
    }

    private static func check(contextLength: Int, limit: Int?) throws(CheckpointError) {
        guard contextLength >= 2 else {
            throw CheckpointError("a context of \(contextLength) tokens is too short; the least is 2")
        }
        guard limit ?? 1 > 0 else { throw CheckpointError("the number of samples must be at least 1") }
    }

    private static func contexts(
        _ tokens: [Int32], contextLength: Int, name: String
    ) throws(CheckpointError) -> [[Int32]] {
        let count = tokens.count / contextLength
        guard count > 0 else {
            throw CheckpointError(
                file: name, "has \(tokens.count.grouped) tokens, less than one context of \(contextLength.grouped)",
                hint: "use a longer text or a smaller --context")
        }
        return (0..<count).map { Array(tokens[$0 * contextLength..<($0 + 1) * contextLength]) }
    }

    /// The contexts of all kinds, one of each in turn; a kind that has no more leaves its turn to the others.
    private static func inTurn(_ kinds: [[[Int32]]]) -> [[Int32]] {
        let longest = kinds.map(\.count).max() ?? 0
        return (0..<longest).flatMap { round in kinds.compactMap { round < $0.count ? $0[round] : nil } }
    }

    /// Contexts of tokens made elsewhere.
    ///
    /// - Parameters:
    ///   - path: what messages call the text.
    ///   - beginning: the BOS token, where the model has one.
    package init(path: String, contextLength: Int, contexts: [[Int32]], beginning: Int32?) {
        self.path = path
        self.contextLength = contextLength
        self.contexts = contexts
        self.beginning = beginning
        notes = []
    }

    private init(_ other: Corpus, contexts: [[Int32]]) {
        path = other.path
        contextLength = other.contextLength
        beginning = other.beginning
        notes = other.notes
        self.contexts = contexts
    }

    /// The first contexts alone.
    public func prefix(_ count: Int) -> Corpus { Corpus(self, contexts: Array(contexts.prefix(max(0, count)))) }

    /// The contexts behind the first ones.
    package func dropFirst(_ count: Int) -> Corpus { Corpus(self, contexts: Array(contexts.dropFirst(count))) }

    /// The tokens of a whole text, as the model's tokenizer makes them.
    ///
    /// - Throws: when the text cannot be read or is not UTF-8, or the model has no tokenizer.
    public static func tokens(
        of source: TextSource, for checkpoint: Checkpoint, threads: Int = 1
    ) throws(CheckpointError) -> [Int32] {
        let tokenizer = try tokenizer(of: checkpoint)
        var tokens: [Int32] = []
        var skipped: [String] = []
        for kind in try TextKind.kinds(of: source) {
            tokens += try kind.tokens(tokenizer, limit: .max, threads: threads, skipped: &skipped)
        }
        return tokens
    }

    /// The tokenizer of a model.
    package static func tokenizer(of checkpoint: Checkpoint) throws(CheckpointError) -> Tokenizer {
        do throws(CheckpointError) {
            return try Tokenizer(Vocabulary(checkpoint: checkpoint))
        } catch {
            var error = error
            error.file = error.file ?? checkpoint.path
            throw error
        }
    }
}
