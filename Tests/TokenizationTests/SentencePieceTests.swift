import Checkpoints
import Formats
import Testing
import TestSupport
import Tokenization

/// The fixture llama-prepend has the tokenizer.model of SentencePiece that its tokenizer.json was made from.
@Suite("vocabularies of SentencePiece")
struct SentencePieceTests {
    private static func folder(_ files: [String]) throws -> Checkpoint {
        var checkpoint = try KnownTokens.checkpoint("llama-prepend")
        checkpoint.companions = files.map { file in
            .init(name: file, contents: Files.read(Fixture.path("tokens/llama-prepend/\(file)")))
        }
        return checkpoint
    }

    private static func gguf(_ vocabulary: Vocabulary, rows: Int) throws -> Vocabulary {
        var checkpoint = try folder([])
        checkpoint.container = .gguf(GGUFMetadata())
        for pair in try vocabulary.ggufPairs(vocabularySize: rows) { checkpoint.metadata[pair.key] = pair.value }
        return try Vocabulary(checkpoint: checkpoint)
    }

    /// The texts without added tokens, which tokenizer.model does not have, and GGUF without their flags.
    private static func cases(_ vocabulary: Vocabulary) throws -> [KnownTokens.Case] {
        try KnownTokens.cases("llama-prepend").filter { known in
            !vocabulary.addedTokens.contains { known.text.containsBytes(of: $0.content) }
        }
    }

    /// The counts are of `spm_train`: 3 special tokens, 256 bytes, and the rest.
    @Test("a tokenizer.model gives its tokens, kinds and scores")
    func model() throws {
        let vocabulary = try Vocabulary(checkpoint: SentencePieceTests.folder(["tokenizer.model"]))
        #expect(vocabulary.tokens.count == 680 && vocabulary.scores.count == 680)
        #expect(vocabulary.tokens.prefix(3) == ["<unk>", "<s>", "</s>"])
        #expect(vocabulary.kinds.prefix(3) == [.unknown, .control, .control])
        #expect(vocabulary.tokens[3] == "<0x00>" && vocabulary.tokens[258] == "<0xFF>")
        #expect(vocabulary.kinds[3..<259].allSatisfy { $0 == .byte })
        #expect(vocabulary.kinds[259...].allSatisfy { $0 == .normal })
        // The scores of BPE count down from 0.
        #expect(vocabulary.scores[259] == 0 && vocabulary.scores[260] == -1 && vocabulary.scores[679] == -420)
        #expect(vocabulary.beginningID == 1 && vocabulary.endID == 2 && vocabulary.addsBeginning == true)
    }

    @Test("a tokenizer.model alone gives the ids of the tokenizer.json that was made from it")
    func alone() throws {
        let vocabulary = try Vocabulary(checkpoint: SentencePieceTests.folder(["tokenizer.model"]))
        let tokenizer = try Tokenizer(vocabulary)
        let whole = try KnownTokens.vocabulary("llama-prepend")
        let cases = try SentencePieceTests.cases(whole)
        #expect(cases.count > 80)
        for known in cases {
            #expect(tokenizer.encode(known.text) == [1] + known.ids, "\(known.text.debugDescription)")
        }
    }

    @Test("GGUF metadata gives the same ids, with scores from tokenizer.model or from the merges")
    func metadata() throws {
        for files in [["tokenizer.json", "tokenizer.model", "tokenizer_config.json"], ["tokenizer.json"]] {
            let vocabulary = try Vocabulary(checkpoint: SentencePieceTests.folder(files))
            let read = try SentencePieceTests.gguf(vocabulary, rows: vocabulary.tokens.count + 2)
            #expect(read.kinds.suffix(2) == [.unused, .unused] && read.scores.suffix(2) == [-10000, -10000])
            #expect(read.addsBeginning == false)
            let tokenizer = try Tokenizer(read)
            for known in try SentencePieceTests.cases(vocabulary) {
                #expect(tokenizer.encode(known.text) == known.ids, "\(known.text.debugDescription)")
            }
        }
    }

    @Test("scores become the merges of tokenizer.json")
    func merges() throws {
        let folder = try Vocabulary(checkpoint: SentencePieceTests.folder(["tokenizer.json", "tokenizer.model"]))
        let read = try SentencePieceTests.gguf(folder, rows: folder.tokens.count)
        // Added tokens come from the file with a score too, and no merge makes them.
        let known = Set(folder.merges.map { ExactString($0.left + " " + $0.right) })
        #expect(known.isSubset(of: Set(read.mergesOfScores.map { ExactString($0.left + " " + $0.right) })))
        #expect(read.mergesOfScores.first == folder.merges.first)
        var checkpoint = try SentencePieceTests.folder([])
        checkpoint.companions = try read.folderFiles()
        let again = try Tokenizer(Vocabulary(checkpoint: checkpoint))
        for known in try SentencePieceTests.cases(folder) {
            #expect(again.encode(known.text) == known.ids, "\(known.text.debugDescription)")
        }
    }

    @Test("merges that no scores stand for are refused on the way to GGUF")
    func unequal() throws {
        var vocabulary = try KnownTokens.vocabulary("llama-prepend")
        vocabulary.merges.removeLast()
        let error = #expect(throws: CheckpointError.self) {
            try vocabulary.ggufPairs(vocabularySize: vocabulary.tokens.count, file: "m")
        }
        #expect(error?.description.contains("merges cannot be stored in a GGUF file") == true)
    }

    @Test(
        "bytes that are no model are refused",
        arguments: [[], [0x0A], [0x0A, 0x05, 1], [0x08, 1], [0xFF], [0x0B, 0]] as [[UInt8]])
    func broken(bytes: [UInt8]) throws {
        var checkpoint = try SentencePieceTests.folder([])
        checkpoint.companions = [.init(name: "tokenizer.model", contents: bytes)]
        #expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: checkpoint) }
    }

    @Test("tokens become text again, byte by byte")
    func text() throws {
        let vocabulary = try KnownTokens.vocabulary("llama-prepend")
        let (tokenizer, detokenizer) = (try Tokenizer(vocabulary), Detokenizer(vocabulary))
        for text in ["In the beginning God", " two  spaces ", "\u{4F60}\u{597D} \u{1F600}\n\tx", "a"] {
            #expect(detokenizer.text(of: tokenizer.encode(text), begins: true) == text)
            #expect(detokenizer.text(of: tokenizer.encode(text)) == " " + text)
        }
        var stream = TextStream(detokenizer)
        let pieces = tokenizer.encode("\u{1F600}").map { stream.add($0) }
        #expect(pieces.joined() == " \u{1F600}" && stream.finish() == "")
    }
}

/// The tokens of the fixture qwen2 in the form that Qwen's first models have them.
@Suite("lists of ranks")
struct RankTests {
    private static func folder(_ text: String) throws -> Checkpoint {
        var checkpoint = try KnownTokens.checkpoint("qwen2")
        checkpoint.companions = [.init(name: "qwen.tiktoken", contents: Array(text.utf8))]
        return checkpoint
    }

    @Test("the ranks of tokens give the merges that they were made by, and the same ids")
    func same() throws {
        let known = try KnownTokens.vocabulary("qwen2")
        // The alphabet has no order of bytes, so the first 256 tokens are those of tokenizer.json.
        let words = zip(known.tokens, known.kinds).filter { $0.1 == .normal }.map(\.0)
        let lines = words.enumerated().map { rank, word in
            let bytes = word.unicodeScalars.compactMap { ByteAlphabet.characters.firstIndex(of: $0) }.map { UInt8($0) }
            return "\(RankTests.base64(bytes)) \(rank)\n"
        }
        let vocabulary = try Vocabulary(checkpoint: RankTests.folder(lines.joined()))
        #expect(vocabulary.merges == known.merges)
        #expect(vocabulary.tokens.count == words.count + 208 && vocabulary.endID == words.count)
        let tokenizer = try Tokenizer(vocabulary)
        for known in try KnownTokens.cases("qwen2") where known.ids.allSatisfy({ $0 < words.count }) {
            #expect(tokenizer.encode(known.text) == known.ids, "\(known.text.debugDescription)")
        }
        #expect(tokenizer.encode("<|im_end|>") == [Int32(words.count + 2)])
    }

    @Test(
        "what is no list is refused",
        arguments: ["", "YQ== 1\n", "YQ==\n", "? 0\n", "YQ== 0\nYQ== 1\n", "YQ== 0\nYWI= 1\n", "= 0\n"])
    func broken(text: String) throws {
        #expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: RankTests.folder(text)) }
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        var bits = 0
        var count = 0
        for byte in bytes {
            bits = bits << 8 | Int(byte)
            count += 8
            while count >= 6 {
                count -= 6
                text.append(alphabet[bits >> count & 63])
            }
        }
        if count > 0 { text.append(alphabet[bits << (6 - count) & 63]) }
        while text.count % 4 > 0 { text.append(UInt8(ascii: "=")) }
        return String(decoding: text, as: UTF8.self)
    }
}
