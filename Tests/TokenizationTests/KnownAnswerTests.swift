import Checkpoints
import Formats
import Testing
import TestSupport
import Tokenization

@Suite("tokens against known answers")
struct KnownAnswerTests {
    @Test("every described pre-tokenizer has known answers")
    func complete() { #expect(Set(PreTokenizer.all.map(\.file)).isSubset(of: KnownTokens.names)) }

    @Test("a tokenizer.json gives the ids of Hugging Face's library", arguments: KnownTokens.names)
    func folder(name: String) throws {
        let vocabulary = try KnownTokens.vocabulary(name)
        #expect(vocabulary.preTokenizer == name)
        let tokenizer = try Tokenizer(vocabulary)
        let cases = try KnownTokens.cases(name)
        #expect(cases.count > 100)
        for known in cases { #expect(tokenizer.encode(known.text) == known.ids, "\(known.text.debugDescription)") }
    }

    /// Qwen 2's tokenizer with another normalizer (fixtures/make-tokens.py).
    @Test("Unicode's compatibility forms give the ids of Hugging Face's library", arguments: ["NFKC", "NFKD"])
    func compatibility(form: String) throws {
        var checkpoint = try KnownTokens.checkpoint("qwen2")
        let file = try #require(checkpoint.companions.firstIndex { $0.name == "tokenizer.json" })
        var tokenizer = try #require(try JSON.parse(KnownTokens.contents("tokens/qwen2/tokenizer.json")).object)
        tokenizer["normalizer"] = .object(JSONObject([("type", .string(form))]))
        checkpoint.companions[file] = .init(
            name: "tokenizer.json", contents: Array(JSON.object(tokenizer).compact.utf8))
        let vocabulary = try Vocabulary(checkpoint: checkpoint)
        #expect(vocabulary.normalizations == [form == "NFKC" ? .compatibilityComposed : .compatibilityDecomposed])
        // And the files that are written for it.
        var written = checkpoint
        written.companions = try vocabulary.folderFiles()
        let cases = try KnownTokens.cases(form.lowercased())
        #expect(cases.count > 60)
        for checkpoint in [checkpoint, written] {
            let found = try Tokenizer(Vocabulary(checkpoint: checkpoint))
            for known in cases { #expect(found.encode(known.text) == known.ids, "\(known.text.debugDescription)") }
        }
    }

    /// GGUF says of an added token only whether it is a control token, so texts with the others are left out.
    @Test("GGUF metadata gives the same ids", arguments: KnownTokens.names)
    func gguf(name: String) throws {
        var checkpoint = try KnownTokens.checkpoint(name)
        let vocabulary = try Vocabulary(checkpoint: checkpoint)
        checkpoint.container = .gguf(GGUFMetadata())
        for pair in try vocabulary.ggufPairs(vocabularySize: vocabulary.tokens.count) {
            checkpoint.metadata[pair.key] = pair.value
        }
        let tokenizer = try Tokenizer(Vocabulary(checkpoint: checkpoint))
        let particular = vocabulary.addedTokens.filter {
            $0.stripsLeft || $0.stripsRight || $0.singleWord || $0.normalized
        }
        var count = 0
        for known in try KnownTokens.cases(name) {
            // Composed or not, and also where a mark follows, which for a Character is another one.
            let scalars = known.text.unicodeScalars
            if particular.contains(where: {
                known.text.contains($0.content) || scalars.contains($0.content.unicodeScalars)
            }) {
                continue
            }
            #expect(tokenizer.encode(known.text) == known.ids, "\(known.text.debugDescription)")
            count += 1
        }
        #expect(count > 100)
    }
}
