import Checkpoints
import Formats
import Testing
import TestSupport
import Tokenization

/// Tokenizers of SentencePiece's kinds, whose answers the pip package tokenizers gave (fixtures/make-tokens.py).
@Suite("tokens of SentencePiece's kinds against known answers")
struct SymbolKnownAnswerTests {
    static let names = ["llama-prepend", "llama-metaspace", "gemma", "unknown", "unigram", "unigram-unknown"]

    @Test("a tokenizer.json gives the ids of Hugging Face's library", arguments: names)
    func folder(name: String) throws {
        let vocabulary = try KnownTokens.vocabulary(name)
        #expect(vocabulary.model == (name.hasPrefix("unigram") ? .unigram : .sentencePieceBPE))
        let tokenizer = try Tokenizer(vocabulary)
        let cases = try KnownTokens.cases(name)
        #expect(cases.count > 100)
        for known in cases { #expect(tokenizer.encode(known.text) == known.ids, "\(known.text.debugDescription)") }
    }

    @Test("the files that are written for it give the same ids", arguments: names)
    func again(name: String) throws {
        var checkpoint = try KnownTokens.checkpoint(name)
        let vocabulary = try Vocabulary(checkpoint: checkpoint)
        checkpoint.companions = try vocabulary.folderFiles()
        let again = try Tokenizer(Vocabulary(checkpoint: checkpoint))
        for known in try KnownTokens.cases(name) {
            #expect(again.encode(known.text) == known.ids, "\(known.text.debugDescription)")
        }
    }
}
