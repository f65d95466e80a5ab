/// The parts of a SentencePiece `tokenizer.model` that tokens depend on.
struct SentencePieceModel {
    /// A token.
    struct Piece {
        var text = ""
        var score: Float = 0
        var kind = Vocabulary.TokenKind.normal
    }

    private(set) var pieces: [Piece] = []
    private(set) var model = Vocabulary.Model.unigram
    private(set) var fallsBackToBytes = false
    private(set) var beginningID: Int? = 1
    private(set) var endID: Int? = 2
    private(set) var paddingID: Int?
    private(set) var charsmap: [UInt8] = []
    private(set) var addsPrefix = true
    private(set) var removesExtraSpaces = true
    private(set) var escapesSpaces = true

    /// Reads a file.
    ///
    /// - Throws: when it is not such a file, or does something that resect does not compute.
    init(_ bytes: [UInt8], file: String) throws(CheckpointError) {
        do {
            try read(bytes[...], file: file)
        } catch let error as CheckpointError {
            throw error
        } catch {
            throw CheckpointError(file: file, "is not a model of SentencePiece")
        }
        guard !pieces.isEmpty else { throw CheckpointError(file: file, "has no tokens") }
        // -1 stands for none.
        func known(_ id: Int?) -> Int? { id.flatMap { pieces.indices.contains($0) ? $0 : nil } }
        (beginningID, endID, paddingID) = (known(beginningID), known(endID), known(paddingID))
    }

    private mutating func read(_ bytes: ArraySlice<UInt8>, file: String) throws {
        var message = ProtobufMessage(bytes)
        while let field = try message.next() {
            guard let inner = field.bytes else { continue }
            switch field.number {
            case 1: try readPiece(ProtobufMessage(inner))
            case 2: try readTraining(ProtobufMessage(inner), file: file)
            case 3: try readNormalizer(ProtobufMessage(inner))
            default: break
            }
        }
    }

    private mutating func readPiece(_ message: ProtobufMessage) throws {
        var message = message
        var piece = Piece()
        while let field = try message.next() {
            switch field.number {
            case 1: piece.text = String(decoding: field.bytes ?? [], as: UTF8.self)
            case 2: piece.score = field.float ?? 0
            // The numbers of the kinds are GGUF's.
            case 3: piece.kind = field.int.flatMap { .init(rawValue: Int32(clamping: $0)) } ?? .normal
            default: break
            }
        }
        pieces.append(piece)
    }

    private mutating func readTraining(_ message: ProtobufMessage, file: String) throws {
        var message = message
        while let field = try message.next() {
            switch field.number {
            case 3:
                switch field.int {
                case 1: model = .unigram
                case 2: model = .sentencePieceBPE
                default:
                    throw CheckpointError(
                        file: file, "is a model of the type \(field.int ?? 0), which resect does not compute",
                        hint: "unigram (1) and BPE (2) are")
                }
            case 24 where field.bool == true:
                throw CheckpointError(
                    file: file,
                    "puts spaces at the end of tokens (treat_whitespace_as_suffix), which resect does not do")
            case 35: fallsBackToBytes = field.bool ?? false
            case 41: beginningID = field.int
            case 42: endID = field.int
            case 43: paddingID = field.int
            default: break
            }
        }
    }

    private mutating func readNormalizer(_ message: ProtobufMessage) throws {
        var message = message
        while let field = try message.next() {
            switch field.number {
            case 2: charsmap = Array(field.bytes ?? [])
            case 3: addsPrefix = field.bool ?? true
            case 4: removesExtraSpaces = field.bool ?? true
            case 5: escapesSpaces = field.bool ?? true
            default: break
            }
        }
    }

    /// What SentencePiece does to a text before it cuts it.
    var normalizations: [Vocabulary.Normalization] {
        var result: [Vocabulary.Normalization] = []
        if !charsmap.isEmpty { result.append(.charsmap(charsmap, graphemes: false)) }
        if removesExtraSpaces { result.append(.collapseSpaces) }
        if addsPrefix { result.append(.prepend(" ")) }
        if escapesSpaces { result.append(.replace(" ", with: Vocabulary.spaceSymbol)) }
        return result
    }
}
