public import Checkpoints
internal import Decoder
package import Tokenization

/// A text as the tokens of one model, cut into contexts of equal length.
public struct Corpus: Sendable {
    /// The file that the text came from.
    public let path: String
    /// Tokens in a context.
    public let contextLength: Int
    /// The contexts in order; a remainder shorter than a context is dropped.
    public let contexts: [[Int32]]
    /// How many tokens all contexts have.
    public var tokenCount: Int { contexts.reduce(0) { $0 + $1.count } }
    /// The token that begins every text, where the model has one.
    let beginning: Int32?

    /// Reads and tokenizes a file.
    ///
    /// - Parameters:
    ///   - path: a file of UTF-8 text.
    ///   - contextLength: tokens in a context, at least 2.
    ///   - limit: the maximum number of contexts; `nil` uses the whole file.
    /// - Throws: when the model cannot be run, or the file is empty, not UTF-8, or fills no context.
    public init(
        path: String, for checkpoint: Checkpoint, contextLength: Int, limit: Int? = nil
    ) throws(CheckpointError) {
        guard contextLength >= 2 else {
            throw CheckpointError("a context of \(contextLength) tokens is too short; the least is 2")
        }
        guard limit ?? 1 > 0 else { throw CheckpointError("the number of samples must be at least 1") }
        // Report a model that cannot be run before a missing tokenizer.
        _ = try DecoderModel(checkpoint)
        let tokenizer = try Corpus.tokenizer(of: checkpoint)
        let wanted = limit.map { $0.multipliedReportingOverflow(by: contextLength) }
        let most = wanted.map { $0.overflow ? Int.max : $0.partialValue } ?? Int.max
        let tokens = try Corpus.encode(path: path, tokenizer: tokenizer, limit: most)
        let count = tokens.count / contextLength
        guard count > 0 else {
            throw CheckpointError(
                file: path, "has \(tokens.count.grouped) tokens, less than one context of \(contextLength.grouped)",
                hint: "use a longer text or a smaller --context")
        }
        self.path = path
        self.contextLength = contextLength
        beginning = tokenizer.beginning
        contexts = (0..<count).map { Array(tokens[$0 * contextLength..<($0 + 1) * contextLength]) }
    }

    /// Contexts of tokens made elsewhere.
    ///
    /// - Parameters:
    ///   - path: what messages call the text.
    ///   - beginning: the token that begins every text, where the model has one.
    package init(path: String, contextLength: Int, contexts: [[Int32]], beginning: Int32?) {
        self.path = path
        self.contextLength = contextLength
        self.contexts = contexts
        self.beginning = beginning
    }

    private init(_ other: Corpus, contexts: [[Int32]]) {
        path = other.path
        contextLength = other.contextLength
        beginning = other.beginning
        self.contexts = contexts
    }

    /// The first contexts alone.
    public func prefix(_ count: Int) -> Corpus { Corpus(self, contexts: Array(contexts.prefix(count))) }

    /// The tokens of a whole file, as the model's tokenizer makes them.
    public static func tokens(
        path: String, for checkpoint: Checkpoint, threads: Int = 1
    ) throws(CheckpointError) -> [Int32] {
        try encode(path: path, tokenizer: tokenizer(of: checkpoint), limit: .max, threads: threads)
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

    private static func encode(
        path: String, tokenizer: Tokenizer, limit: Int, threads: Int = 1
    ) throws(CheckpointError) -> [Int32] {
        if FileSystem.kind(of: path) == .missing { throw CheckpointError(file: path, "does not exist") }
        let file = try MappedFile(path: path)
        guard file.byteCount > 0 else { throw CheckpointError(file: path, "is empty") }
        // The file must stay mapped as long as its bytes are used.
        defer { withExtendedLifetime(file) {} }
        guard let offset = UTF8Check.firstInvalidByte(file.bytes) else {
            return tokenizer.encode(file.bytes, limit: limit, threads: threads)
        }
        throw CheckpointError(
            file: path, byteOffset: offset, "is not UTF-8 text", hint: "convert it first, for instance with iconv")
    }
}

/// The rules of UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
package enum UTF8Check {
    /// The offset of the first byte that is not valid UTF-8; `nil` when all are.
    package static func firstInvalidByte(_ text: UnsafeRawBufferPointer) -> Int? {
        var index = 0
        while index < text.count {
            let first = text[index]
            if first < 0x80 {
                index += 1
                continue
            }
            let (count, second): (Int, ClosedRange<UInt8>)
            switch first {
            case 0xC2...0xDF: (count, second) = (2, 0x80...0xBF)
            case 0xE0: (count, second) = (3, 0xA0...0xBF)
            case 0xED: (count, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: (count, second) = (3, 0x80...0xBF)
            case 0xF0: (count, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: (count, second) = (4, 0x80...0xBF)
            case 0xF4: (count, second) = (4, 0x80...0x8F)
            default: return index
            }
            guard index + count <= text.count, second.contains(text[index + 1]),
                (2..<max(count, 2)).allSatisfy({ text[index + $0] & 0xC0 == 0x80 })
            else { return index }
            index += count
        }
        return nil
    }
}
