import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("vocabularies")
struct VocabularyTests {
    private static func fixture() throws -> Checkpoint { try Checkpoint.open(Fixture.model) }

    @Test("the fixture's tokenizer is read")
    func reading() throws {
        let vocabulary = try Vocabulary(checkpoint: VocabularyTests.fixture())
        #expect(vocabulary.preTokenizer == "gpt-2")
        #expect(vocabulary.tokens.count == 2048)
        #expect(vocabulary.tokens[0] == "<|endoftext|>")
        #expect(vocabulary.kinds[0] == .control)
        #expect(vocabulary.kinds.dropFirst().allSatisfy { $0 == .normal })
        #expect(vocabulary.merges.count == 2048 - 256 - 1)
        #expect(vocabulary.addedTokens.map(\.content) == ["<|endoftext|>"])
        #expect(
            [vocabulary.beginningID, vocabulary.endID, vocabulary.unknownID, vocabulary.paddingID] == [0, 0, 0, nil])
    }

    @Test("the tokenizer files that are written read back equal")
    func folderFiles() throws {
        var checkpoint = try VocabularyTests.fixture()
        let vocabulary = try Vocabulary(checkpoint: checkpoint)
        checkpoint.companions = try vocabulary.folderFiles()
        var again = try Vocabulary(checkpoint: checkpoint)
        // What the source does not say, the files say.
        #expect(again.addsSpacePrefix == false)
        again.addsSpacePrefix = vocabulary.addsSpacePrefix
        #expect(again == vocabulary)
        #expect(try again.folderFiles().map(\.contents) == checkpoint.companions.map(\.contents))
    }

    @Test("the metadata that is written reads back equal")
    func gguf() throws {
        var checkpoint = try VocabularyTests.fixture()
        let vocabulary = try Vocabulary(checkpoint: checkpoint)
        checkpoint.container = .gguf(GGUFMetadata())
        for pair in try vocabulary.ggufPairs(vocabularySize: 2048) { checkpoint.metadata[pair.key] = pair.value }
        let again = try Vocabulary(checkpoint: checkpoint)
        #expect(again == vocabulary)
    }

    @Test("rows of the embedding without a token get a placeholder")
    func padding() throws {
        var checkpoint = try VocabularyTests.fixture()
        let vocabulary = try Vocabulary(checkpoint: checkpoint)
        checkpoint.container = .gguf(GGUFMetadata())
        for pair in try vocabulary.ggufPairs(vocabularySize: 2050) { checkpoint.metadata[pair.key] = pair.value }
        let again = try Vocabulary(checkpoint: checkpoint)
        #expect(again.tokens.suffix(2) == ["[PAD2048]", "[PAD2049]"])
        #expect(again.kinds.suffix(2) == [.unused, .unused])
        #expect(throws: CheckpointError.self) { try vocabulary.ggufPairs(vocabularySize: 2047) }
    }

    @Test("special tokens, templates and flags survive both containers")
    func everything() throws {
        var vocabulary = Vocabulary(
            preTokenizer: "llama-bpe", tokens: ["a", "b", "ab", "<s>", "</s>", "tool"],
            kinds: [.normal, .normal, .normal, .control, .control, .userDefined],
            merges: [.init("a", "b")],
            addedTokens: [
                .init(id: 3, content: "<s>", special: true), .init(id: 4, content: "</s>", special: true),
                .init(id: 5, content: "tool", special: false),
            ], ignoresMerges: true)
        vocabulary.beginningID = 3
        vocabulary.endID = 4
        vocabulary.addsBeginning = true
        vocabulary.addsEnd = true
        vocabulary.addsSpacePrefix = false
        vocabulary.paddingID = 5
        vocabulary.separatorID = 4
        vocabulary.maskID = 5
        vocabulary.otherEndIDs = [5, 2]
        vocabulary.chatTemplates = [
            .init(text: "{{ messages }}\n"), .init(name: "rag", text: "R"), .init(name: "tool_use", text: "T"),
        ]
        var gguf = try VocabularyTests.fixture()
        gguf.container = .gguf(GGUFMetadata())
        for pair in try vocabulary.ggufPairs(vocabularySize: 6) { gguf.metadata[pair.key] = pair.value }
        #expect(try Vocabulary(checkpoint: gguf) == vocabulary)
        var folder = try VocabularyTests.fixture()
        // The tokens that end a generation stand in config.json.
        folder.config = JSONObject([("eos_token_id", .array([4, 5, 2].map(JSON.int)))])
        folder.companions = try vocabulary.folderFiles()
        var again = try Vocabulary(checkpoint: folder)
        again.addsSeparator = vocabulary.addsSeparator
        #expect(again == vocabulary)
    }

    @Test(
        "a tokenizer.json that cannot be read says why",
        arguments: [
            ("{}", "is a tokenizer of the kind '?'"),
            (#"{"model":{"type":"WordPiece","vocab":{}}}"#, "is a tokenizer of the kind 'WordPiece'"),
            (#"{"model":{"type":"Unigram","vocab":[]}}"#, "has no vocabulary"),
            (#"{"model":{"type":"Unigram","vocab":[["a"]]}}"#, "token 0 is not a text with a score"),
            (#"{"model":{"type":"Unigram","vocab":[["a",0],["a",1]]}}"#, "has the token 'a' twice"),
            (#"{"model":{"type":"Unigram","unk_id":1,"vocab":[["a",0]]}}"#, "the unknown token 1 is not among 1"),
            (
                #"{"model":{"type":"BPE","vocab":{"a":0}},"pre_tokenizer":{"type":"Whitespace"}}"#,
                "cuts words in a way that resect does not know (pre_tokenizer Whitespace)"
            ),
            (tokenizer(#""vocab":{"a":-1},"merges":[]"#), "the token 'a' has the number -1"),
            (
                tokenizer(#""vocab":{"a":9223372036854775807},"merges":[]"#),
                "the token 'a' has the number 9,223,372,036,854,775,807 among 1 tokens"
            ),
            (tokenizer(#""vocab":{"a":1.5},"merges":[]"#), "the token 'a' has no whole number"),
            (tokenizer(#""vocab":{"a":0},"merges":[["a"]]"#), "a merge is neither text nor a pair"),
            (tokenizer(#""vocab":{"a":0},"merges":[7]"#), "a merge is neither text nor a pair"),
            (
                tokenizer(#""vocab":{"a":0},"merges":[]"#, added: #"{"id":-5,"content":"x"}"#),
                "an added token has no number or no content"
            ),
            (
                tokenizer(#""vocab":{"a":0,"b":2},"merges":[]"#, added: #"{"id":3,"content":"x"}"#),
                "the tokens 'b' and 'x' have the same number 2"
            ),
            (tokenizer(#""vocab":{"a":0,"b":0},"merges":[]"#), "the tokens 'a' and 'b' have the same number 0"),
            (tokenizer(#""vocab":{"a":0},"merges":["a b c"]"#), "the merge 'a b c' is not two tokens with a space"),
            (tokenizer(#""vocab":{"a":0},"merges":[["a","b","c"]]"#), "a merge is neither text nor a pair"),
            ("[", "a value should be"),
        ])
    func refused(text: String, message: String) throws {
        var checkpoint = try VocabularyTests.fixture()
        checkpoint.companions = [.init(name: "tokenizer.json", contents: Array(text.utf8))]
        expect(#expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: checkpoint) }, message)
    }

    private static func tokenizer(_ model: String, added: String = "") -> String {
        #"{"added_tokens":[\#(added)],"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"model":{"type":"BPE",\#(model)}}"#
    }

    @Test(
        "a GGUF vocabulary that cannot be read says why",
        arguments: [
            ("tokenizer.ggml.model", nil, "has no vocabulary"),
            ("tokenizer.ggml.model", .string("bert"), "has a vocabulary of the kind 'bert'"),
            ("tokenizer.ggml.model", .string("llama"), "has no tokenizer.ggml.scores"),
            (
                "tokenizer.ggml.pre", .string("unheard-of"),
                "has the pre-tokenizer 'unheard-of', which resect does not know"
            ),
            ("tokenizer.ggml.tokens", nil, "tokenizer.ggml.tokens is missing or not a list of text"),
            (
                "tokenizer.ggml.tokens", .array(elementType: 4, [.u32(1)]),
                "tokenizer.ggml.tokens is missing or not a list of text"
            ),
            ("tokenizer.ggml.tokens", .strings([]), "tokenizer.ggml.tokens is missing or not a list of text"),
            (
                "tokenizer.ggml.token_type", .array(elementType: 5, [.i32(1)]),
                "tokenizer.ggml.token_type has 1 entries for 2,048 tokens"
            ),
        ] as [(String, GGUFValue?, String)])
    func refusedGGUF(key: String, value: GGUFValue?, message: String) throws {
        var checkpoint = try VocabularyTests.fixture()
        let vocabulary = try Vocabulary(checkpoint: checkpoint)
        checkpoint.container = .gguf(GGUFMetadata())
        for pair in try vocabulary.ggufPairs(vocabularySize: 2048) { checkpoint.metadata[pair.key] = pair.value }
        checkpoint.metadata[key] = value
        expect(#expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: checkpoint) }, message)
    }

    @Test("any member of a tokenizer.json may be anything without harm")
    func anything() throws {
        var checkpoint = try VocabularyTests.fixture()
        var vocabulary = Vocabulary(
            preTokenizer: "llama-bpe", tokens: ["a", "b", "ab", "<s>"], kinds: [.normal, .normal, .normal, .control],
            merges: [.init("a", "b")], addedTokens: [.init(id: 3, content: "<s>", special: true)])
        vocabulary.beginningID = 3
        vocabulary.addsBeginning = true
        let files = try vocabulary.folderFiles()
        for file in files {
            let whole = try file.contents.withUnsafeBytes { try JSON.parse($0) }
            for value in [
                "null", "7", "-1", "9223372036854775807", "\"text\"", "[]", "[[]]", "{}", #"{"type":"Sequence"}"#,
            ] {
                for variant in VocabularyTests.variants(of: whole, by: try JSON.parse(value)) {
                    checkpoint.companions = files.filter { $0.name != file.name }
                    checkpoint.companions.append(.init(name: file.name, contents: Array(variant.compact.utf8)))
                    do throws(CheckpointError) {
                        let read = try Vocabulary(checkpoint: checkpoint)
                        _ = try read.folderFiles()
                        _ = try read.ggufPairs(vocabularySize: 4)
                    } catch {
                        #expect(!error.description.isEmpty)
                    }
                }
            }
        }
    }

    /// The value with each of its members, at any depth, replaced by another value.
    private static func variants(of value: JSON, by other: JSON) -> [JSON] {
        switch value {
        case .array(let list):
            return [other]
                + list.indices.flatMap { index in
                    variants(of: list[index], by: other).map { variant in
                        var changed = list
                        changed[index] = variant
                        return .array(changed)
                    }
                }
        case .object(let object):
            return [other]
                + object.members.flatMap { key, member in
                    variants(of: member, by: other).map { variant in
                        var changed = object
                        changed[key] = variant
                        return .object(changed)
                    }
                }
        default: return [other]
        }
    }

    @Test("special tokens that differ only in composition are two")
    func composition() throws {
        var checkpoint = try VocabularyTests.fixture()
        let text = VocabularyTests.tokenizer(
            #""vocab":{"a":0},"merges":[]"#, added: #"{"id":1,"content":"caf\u00e9"},{"id":2,"content":"cafe\u0301"}"#)
        checkpoint.companions = [
            .init(name: "tokenizer.json", contents: Array(text.utf8)),
            .init(name: "tokenizer_config.json", contents: Array(#"{"bos_token":"cafe\u0301"}"#.utf8)),
        ]
        #expect(try Vocabulary(checkpoint: checkpoint).beginningID == 2)
    }

    @Test("special numbers beyond the vocabulary stand for none")
    func beyond() throws {
        var checkpoint = try VocabularyTests.fixture()
        let vocabulary = try Vocabulary(checkpoint: checkpoint)
        checkpoint.container = .gguf(GGUFMetadata())
        for pair in try vocabulary.ggufPairs(vocabularySize: 2048) { checkpoint.metadata[pair.key] = pair.value }
        checkpoint.metadata["tokenizer.ggml.bos_token_id"] = .u32(.max)
        checkpoint.metadata["tokenizer.ggml.eos_token_id"] = .i32(-1)
        let again = try Vocabulary(checkpoint: checkpoint)
        #expect(again.beginningID == nil && again.endID == nil && again.unknownID == 0)
    }
}
