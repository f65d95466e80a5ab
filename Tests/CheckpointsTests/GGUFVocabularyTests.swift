import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("vocabularies of GGUF files")
struct GGUFVocabularyTests {
    private static func file(_ change: (inout GGUFMetadata) -> Void) throws -> Checkpoint {
        var checkpoint = try Checkpoint.open(Fixture.model)
        let pairs = try Vocabulary(checkpoint: checkpoint).ggufPairs(vocabularySize: 2048)
        checkpoint.container = .gguf(GGUFMetadata())
        for pair in pairs { checkpoint.metadata[pair.key] = pair.value }
        change(&checkpoint.metadata)
        return checkpoint
    }

    private static func texts(_ metadata: GGUFMetadata, _ key: String) -> [String] {
        metadata["tokenizer.ggml." + key]?.array?.compactMap(\.string) ?? []
    }

    /// The tokenizers library refuses a vocabulary with a merge of an unknown token: "Token `x` out of vocabulary".
    @Test("a vocabulary that no tokenizer.json can hold is refused by the token")
    func unwritable() throws {
        let twice = try GGUFVocabularyTests.file { metadata in
            var tokens = GGUFVocabularyTests.texts(metadata, "tokens")
            tokens[2040] = "the"
            tokens[2039] = "the"
            metadata["tokenizer.ggml.tokens"] = .strings(tokens)
        }
        expect(
            #expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: twice).folderFiles(of: "x.gguf") },
            "x.gguf: the tokens 2,039 and 2,040 are both 'the', which tokenizer.json cannot store")
        let unknown = try GGUFVocabularyTests.file { metadata in
            metadata["tokenizer.ggml.merges"] = .strings(
                GGUFVocabularyTests.texts(metadata, "merges") + ["th zzz"])
        }
        expect(
            #expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: unknown).folderFiles(of: "x.gguf") },
            "x.gguf: the merge of 'th' and 'zzz' names the token 'zzz', which the vocabulary does not have")
    }

    @Test("merges of tokens that are not there are left out on the way to a folder, with a note")
    func leftOut() throws {
        let file = try GGUFVocabularyTests.file { metadata in
            metadata["tokenizer.ggml.merges"] = .strings(
                GGUFVocabularyTests.texts(metadata, "merges") + ["th zzz", "the the"])
        }
        var vocabulary = try Vocabulary(checkpoint: file)
        vocabulary.leaveOutUnknownMerges(of: "x.gguf")
        #expect(vocabulary.merges.count == 2048 - 256 - 1)
        #expect(
            vocabulary.notes == [
                "x.gguf: 2 of 1,793 merges name tokens that the vocabulary does not have; they are left out"
            ])
        #expect(try vocabulary.folderFiles().count == 3)
    }

    @Test("unused tokens with a text of their own are kept, placeholders are not")
    func unused() throws {
        let file = try GGUFVocabularyTests.file { metadata in
            var tokens = GGUFVocabularyTests.texts(metadata, "tokens")
            tokens += ["<spare>", "[PAD2049]"]
            metadata["tokenizer.ggml.tokens"] = .strings(tokens)
            let types = metadata["tokenizer.ggml.token_type"]?.array ?? []
            metadata["tokenizer.ggml.token_type"] = .array(elementType: 5, types + [.i32(5), .i32(5)])
        }
        let written = try #require(
            try Vocabulary(checkpoint: file).folderFiles().first { $0.name == "tokenizer.json" })
        let vocabulary = try written.contents.withUnsafeBytes { try JSON.parse($0) }["model"]?["vocab"]
        #expect(vocabulary?["<spare>"]?.int == 2048)
        #expect(vocabulary?["[PAD2049]"] == nil)
        #expect(vocabulary?.object?.count == 2049)
    }

    @Test(
        "a merge that is not two tokens is refused",
        arguments: ["", " ", "a", "a ", " a"])
    func merges(text: String) throws {
        let file = try GGUFVocabularyTests.file { $0["tokenizer.ggml.merges"] = .strings([text]) }
        expect(
            #expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: file) },
            "the merge '\(text)' is not two tokens with a space between them")
    }

    /// llama-vocab.cpp: `word.find(' ', 1)`.
    @Test("the first space that does not begin a merge parts its tokens")
    func firstSpace() throws {
        let file = try GGUFVocabularyTests.file {
            $0["tokenizer.ggml.merges"] = .strings(["a b c", "  b", "e \u{308}"])
        }
        #expect(
            try Vocabulary(checkpoint: file).merges == [
                .init("a", "b c"), .init(" ", "b"), .init("e", "\u{308}"),
            ])
    }

    @Test(
        "a key that changes the text is refused by its name, unless it says no",
        arguments: ["remove_extra_whitespaces", "normalizer.lowercase", "normalizer.strip_accents"])
    func changes(name: String) throws {
        let key = "tokenizer.ggml." + name
        expect(
            #expect(throws: CheckpointError.self) {
                try Vocabulary(checkpoint: GGUFVocabularyTests.file { $0[key] = .bool(true) })
            }, key + " changes the text before it is cut into tokens")
        let harmless = try Vocabulary(checkpoint: GGUFVocabularyTests.file { $0[key] = .bool(false) })
        #expect(harmless.notes == [])
    }

    @Test("keys without a member in a folder are noted, and ends of turns are end tokens there")
    func otherKeys() throws {
        let vocabulary = try Vocabulary(
            checkpoint: GGUFVocabularyTests.file {
                $0["tokenizer.ggml.fim_pre_token_id"] = .u32(7)
                $0["tokenizer.ggml.eot_token_id"] = .u32(5)
                $0["tokenizer.ggml.eom_token_id"] = .u32(.max)
            })
        #expect(vocabulary.otherEndIDs == [5])
        #expect(vocabulary.notes.count == 1)
        #expect(
            vocabulary.notes.first?.hasSuffix(
                "tokenizer.ggml.fim_pre_token_id is left out; the files of a folder have no setting for it") == true)
    }
}
