import Checkpoints
import Formats
import Testing
import TestSupport
import Tokenization

@Suite("texts from tokens")
struct DetokenizerTests {
    @Test("the tokens of a text give the text back", arguments: ["gpt-2", "smollm", "llama-bpe"])
    func back(name: String) throws {
        let vocabulary = try KnownTokens.vocabulary(name)
        let detokenizer = Detokenizer(vocabulary, skipsSpecial: false)
        let tokenizer = try Tokenizer(vocabulary)
        // Added tokens that swallow white space do not bring it back.
        let greedy = vocabulary.addedTokens.filter { $0.stripsLeft || $0.stripsRight }
        var count = 0
        for known in try KnownTokens.cases(name) where !greedy.contains(where: { known.text.contains($0.content) }) {
            let ids = known.ids.dropFirst(tokenizer.beginning != nil && known.ids.first == tokenizer.beginning ? 1 : 0)
            #expect(Array(detokenizer.text(of: Array(ids)).utf8) == Array(known.text.utf8))
            count += 1
        }
        #expect(count > 100)
    }

    @Test("control tokens are skipped or shown")
    func special() throws {
        let vocabulary = try KnownTokens.vocabulary("gpt-2")
        let ids = try Tokenizer(vocabulary).encode("In the<|endoftext|> beginning")
        #expect(ids.contains(0))
        #expect(Detokenizer(vocabulary).text(of: ids) == "In the beginning")
        #expect(Detokenizer(vocabulary, skipsSpecial: false).text(of: ids) == "In the<|endoftext|> beginning")
        // Numbers without a token have no text.
        #expect(Detokenizer(vocabulary).text(of: ids + [-1, Int32.max, 1 << 20]) == "In the beginning")
    }

    @Test("characters are held back until they are complete")
    func stream() throws {
        let vocabulary = try KnownTokens.vocabulary("gpt-2")
        // The fixture's vocabulary has hardly more than bytes for these.
        let text = "God 😀 é€𝄞x שלום"
        let ids = try Tokenizer(vocabulary).encode(text)
        var stream = TextStream(Detokenizer(vocabulary))
        let pieces = ids.map { stream.add($0) }
        #expect(pieces.joined() + stream.finish() == text)
        #expect(pieces.contains("") && pieces.contains("😀") && !pieces.joined().contains("\u{FFFD}"))
    }

    @Test("bytes that are no UTF-8 become U+FFFD, as many as at once")
    func broken() throws {
        let vocabulary = try KnownTokens.vocabulary("gpt-2")
        func id(_ byte: UInt8) throws -> Int32 {
            let text = String(String.UnicodeScalarView([ByteAlphabet.characters[Int(byte)]]))
            return Int32(try #require(vocabulary.tokens.firstIndex { ExactString($0) == ExactString(text) }))
        }
        let sequences: [[UInt8]] = [
            [0xF0, 0x9F, 0x98], [0xE2, 0x82, 0x41], [0x80, 0x80, 0x41], [0xC3], [0xFF, 0xC3, 0xA9], [0xE0, 0x80, 0xAC],
            [0xF0, 0x9F, 0x98, 0x80, 0xF0], [0xED, 0xA0, 0x80, 0x41], [0xF4, 0x90, 0x80, 0x80],
        ]
        for bytes in sequences {
            let ids = try bytes.map(id)
            let whole = String(decoding: bytes, as: UTF8.self)
            var stream = TextStream(Detokenizer(vocabulary))
            let text = ids.map { stream.add($0) }.joined() + stream.finish()
            #expect(text.unicodeScalars.elementsEqual(whole.unicodeScalars), "\(bytes)")
            #expect(Detokenizer(vocabulary).text(of: ids).unicodeScalars.elementsEqual(whole.unicodeScalars))
        }
    }
}
