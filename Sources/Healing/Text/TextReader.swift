internal import Analysis
internal import Checkpoints
internal import Tokenization

/// A kind of text as contexts of tokens.
struct KindOfText: Sendable {
    let name: String
    let isBuiltin: Bool
    /// Tokens that were kept, also those that fill no context.
    let tokenCount: Int
    let contexts: [[Int32]]
}

/// Tokenizes kinds of text, one stretch after another, and cuts them into contexts.
struct TextReader {
    private let tokenizer: Tokenizer
    private let contextLength: Int
    /// Bytes that are read of a kind; of more, pieces are read that lie evenly spread.
    private let byteLimit: Int
    private var filter = RepeatFilter()
    /// What was left out, and why.
    private(set) var notes: [String] = []

    init(tokenizer: Tokenizer, contextLength: Int, wantedTokens: Int) {
        self.tokenizer = tokenizer
        self.contextLength = contextLength
        // Few texts have more than 8 bytes a token.
        let bytes = wantedTokens.multipliedReportingOverflow(by: 8)
        byteLimit = bytes.overflow ? .max : max(bytes.partialValue, 1 << 20)
    }

    /// Reads one kind.
    ///
    /// - Throws: when a file cannot be read, or the kind is a file that is not text.
    mutating func read(_ source: TextKind) throws(CheckpointError) -> KindOfText {
        let total = source.documents.reduce(0) { $0 + $1.byteCount }
        let spread = TextSpread(byteCounts: source.documents.map(\.byteCount), limit: byteLimit)
        if spread.isPartial {
            notes.append(
                "reads \(spread.byteCount.grouped) of the \(total.grouped) bytes of \(source.name), evenly spread")
        }
        var unreadable: [String] = []
        for case .tokens(_, let tokens) in source.documents { filter.append(tokens) }
        for (document, ranges) in zip(source.documents, spread.ranges) where !ranges.isEmpty {
            let text = try document.open()
            let isText = try text.withBytes { (bytes) throws(CheckpointError) -> Bool in
                for range in ranges {
                    let range = TextSpread.aligned(range, in: bytes)
                    let piece = UnsafeRawBufferPointer(rebasing: bytes[range])
                    if let offset = UTF8Check.firstInvalidByte(piece) {
                        if source.skipsOtherFiles { return false }
                        throw CheckpointError(
                            file: document.name, byteOffset: range.lowerBound + offset, "is not UTF-8 text",
                            hint: "convert it first, for instance with iconv")
                    }
                }
                for range in ranges {
                    let piece = UnsafeRawBufferPointer(rebasing: bytes[TextSpread.aligned(range, in: bytes)])
                    if !piece.isEmpty { filter.append(tokenizer.encode(piece)) }
                }
                return true
            }
            if !isText { unreadable.append(document.name) }
        }
        let (tokens, dropped) = filter.finish()
        if let first = unreadable.first {
            guard unreadable.count < source.documents.count else {
                throw CheckpointError(
                    file: source.name, "holds no text file: \(first.lastPathComponent) is not UTF-8 text")
            }
            notes.append(
                "\(source.name): leaves out \(unreadable.count.grouped) \(unreadable.count == 1 ? "file" : "files") that "
                    + "\(unreadable.count == 1 ? "is" : "are") not UTF-8 text, such as \(first.lastPathComponent)")
        }
        if dropped > 0, !source.isBuiltin {
            notes.append("\(source.name): leaves out \(dropped.grouped) tokens that occur twice in the texts")
        }
        let contexts = (0..<tokens.count / contextLength).map {
            Array(tokens[$0 * contextLength..<($0 + 1) * contextLength])
        }
        return KindOfText(
            name: source.name, isBuiltin: source.isBuiltin, tokenCount: tokens.count, contexts: contexts)
    }

    /// The sum of some counts times a factor, or the largest number.
    static func clamped(_ counts: Int..., times factor: Int) -> Int {
        var sum = 0
        for count in counts {
            let (next, overflow) = sum.addingReportingOverflow(count)
            if overflow { return .max }
            sum = next
        }
        let product = sum.multipliedReportingOverflow(by: factor)
        return product.overflow ? .max : product.partialValue
    }
}
