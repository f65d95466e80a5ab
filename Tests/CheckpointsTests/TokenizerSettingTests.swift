import Checkpoints
import Formats
import TestSupport
import Testing

/// The members of a small tokenizer.json, one of which a test changes. `a` and `b` are not all bytes.
@Suite("settings of tokenizers")
struct TokenizerSettingTests {
    private static func folder(
        model: String = "", normalizer: String = "null", preTokenizer: String = byteLevel,
        processor: String = "null", added: String = "", settings: String = "{}", config: String = "{}",
        generation: String = "{}"
    ) throws -> Checkpoint {
        var checkpoint = try Checkpoint.open(Fixture.model)
        checkpoint.config = try JSON.parse(config).object
        let tokenizer =
            #"{"added_tokens":[{"id":2,"content":"<s>","special":true},{"id":3,"content":"</s>","special":true}\#(added)],"#
            + #""normalizer":\#(normalizer),"pre_tokenizer":\#(preTokenizer),"post_processor":\#(processor),"#
            + #""model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]\#(model)}}"#
        checkpoint.companions = [
            .init(name: "tokenizer.json", contents: Array(tokenizer.utf8)),
            .init(name: "tokenizer_config.json", contents: Array(settings.utf8)),
            .init(name: "generation_config.json", contents: Array(generation.utf8)),
        ]
        return checkpoint
    }

    private static let byteLevel = #"{"type":"ByteLevel","add_prefix_space":false}"#

    private static func piece(_ name: String) -> String { #"{"SpecialToken":{"id":"\#(name)","type_id":0}}"# }

    /// A TemplateProcessing with tokens before and after the text.
    private static func around(_ first: [String], _ last: [String]) -> String {
        let single = first.map(piece) + [#"{"Sequence":{"id":"A","type_id":0}}"#] + last.map(piece)
        let special = #""<s>":{"id":"<s>","ids":[2]},"</s>":{"id":"</s>","ids":[3]},"a":{"id":"a","ids":[0]}"#
        return #"{"type":"TemplateProcessing","single":[\#(single.joined(separator: ","))],"pair":[],"#
            + #""special_tokens":{\#(special)}}"#
    }

    @Test(
        "a member that changes tokens and is not computed is refused by its name",
        arguments: [
            (#","dropout":0.1"#, "(dropout 0.1)"), (#","end_of_word_suffix":"</w>""#, "(end_of_word_suffix)"),
            (#","continuing_subword_prefix":"@@""#, "(continuing_subword_prefix)"),
            (
                #","unk_token":"a""#,
                "no token for 254 of the 256 bytes, such as 'Ā', and puts 'a' there (unk_token)"
            ),
            (#","byte_fallback":true"#, "puts byte tokens there (byte_fallback)"),
        ])
    func model(members: String, message: String) throws {
        let checkpoint = try TokenizerSettingTests.folder(model: members)
        expect(#expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: checkpoint) }, message)
    }

    @Test("members that say nothing are no obstacle")
    func harmless() throws {
        let members = #","dropout":0.0,"end_of_word_suffix":"","continuing_subword_prefix":"","fuse_unk":true"#
        #expect(try Vocabulary(checkpoint: TokenizerSettingTests.folder(model: members)).tokens.count == 4)
    }

    @Test(
        "a change of the text that is not computed is refused by its name",
        arguments: [
            (#"{"type":"Nmt"}"#, byteLevel, "the normalizer Nmt"),
            (
                #"{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"StripAccents"}]}"#, byteLevel,
                "the normalizer StripAccents"
            ),
            (
                #"{"type":"Replace","pattern":{"Regex":"x+"},"content":"y"}"#, byteLevel,
                "the normalizer Replace of the regular expression 'x+'"
            ),
            ("null", #"{"type":"Metaspace","replacement":"_"}"#, "(pre_tokenizer Metaspace with '_' for spaces)"),
            ("null", #"{"type":"Whitespace"}"#, "(pre_tokenizer Whitespace)"),
            ("null", #"{"type":"ByteLevel","add_prefix_space":true}"#, "(add_prefix_space)"),
            ("null", "null", "it has no pre_tokenizer"),
            (
                "null", #"{"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"ByteLevel"}]}"#,
                "(add_prefix_space)"
            ),
        ] as [(String, String, String)])
    func text(normalizer: String, preTokenizer: String, message: String) throws {
        let checkpoint = try TokenizerSettingTests.folder(normalizer: normalizer, preTokenizer: preTokenizer)
        expect(#expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: checkpoint) }, message)
    }

    @Test("the post-processor says which tokens are put around a text, also where no setting names them")
    func template() throws {
        let both = TokenizerSettingTests.around(["<s>"], ["</s>"])
        let vocabulary = try Vocabulary(checkpoint: TokenizerSettingTests.folder(processor: both))
        #expect(vocabulary.beginningID == 2 && vocabulary.addsBeginning == true)
        #expect(vocabulary.endID == 3 && vocabulary.addsEnd == true)
        let roberta = #"{"type":"RobertaProcessing","sep":["</s>",3],"cls":["<s>",2]}"#
        let other = try Vocabulary(checkpoint: TokenizerSettingTests.folder(processor: roberta))
        #expect(other.beginningID == 2 && other.addsBeginning == true && other.endID == 3 && other.addsEnd == true)
    }

    @Test("where tokenizer_config.json contradicts the post-processor, the latter counts, with a note")
    func contradiction() throws {
        let vocabulary = try Vocabulary(
            checkpoint: TokenizerSettingTests.folder(
                processor: TokenizerSettingTests.around(["<s>"], []), settings: #"{"add_bos_token":false}"#))
        #expect(vocabulary.addsBeginning == true)
        #expect(
            vocabulary.notes.first?.hasSuffix(
                "add_bos_token is false in tokenizer_config.json; tokenizer.json differs and takes precedence")
                == true)
    }

    @Test("another end token in the template than in the settings ends texts; theirs ends a turn")
    func twoEnds() throws {
        let vocabulary = try Vocabulary(
            checkpoint: TokenizerSettingTests.folder(
                processor: TokenizerSettingTests.around([], ["</s>"]), settings: #"{"eos_token":"<s>"}"#))
        #expect(vocabulary.endID == 3 && vocabulary.otherEndIDs == [2])
    }

    @Test(
        "a post-processor that puts other tokens is refused",
        arguments: [
            (around(["<s>", "a"], []), "{}", "puts 2 tokens before a text"),
            (
                around(["a"], []), #"{"bos_token":"<s>"}"#,
                "puts 'a' before a text, which is not the beginning token '<s>'"
            ),
            (around(["x"], []), "{}", "names a special token without a number"),
            (#"{"type":"Unheard"}"#, "{}", "a post-processor Unheard, which resect does not know"),
            (#"{"type":"TemplateProcessing","single":[]}"#, "{}", "contains the text 0 times"),
        ] as [(String, String, String)])
    func otherTokens(processor: String, settings: String, message: String) throws {
        let checkpoint = try TokenizerSettingTests.folder(processor: processor, settings: settings)
        expect(#expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: checkpoint) }, message)
    }

    @Test("special numbers of -1 and beyond the vocabulary stand for none, null for the other file's")
    func none() throws {
        let config = #"{"pad_token_id":-1,"bos_token_id":null,"eos_token_id":4,"unk_token_id":9,"vocab_size":4}"#
        let vocabulary = try Vocabulary(checkpoint: TokenizerSettingTests.folder(config: config))
        #expect(
            [vocabulary.paddingID, vocabulary.beginningID, vocabulary.endID, vocabulary.unknownID] == [
                nil, nil, nil, nil,
            ])
        let keys = try vocabulary.ggufPairs(vocabularySize: 4).map(\.key)
        #expect(!keys.contains { $0.hasSuffix("_token_id") })
    }

    @Test("of several end tokens the first is the end, and the others are the ends of turns and messages")
    func ends() throws {
        let vocabulary = try Vocabulary(
            checkpoint: TokenizerSettingTests.folder(
                config: #"{"eos_token_id":[3,1]}"#, generation: #"{"eos_token_id":[3,0,1]}"#))
        let pairs = try vocabulary.ggufPairs(vocabularySize: 4)
        func value(_ name: String) -> Int? { pairs.first { $0.key == "tokenizer.ggml.\(name)_token_id" }?.value.int }
        #expect([value("eos"), value("eot"), value("eom")] == [3, 1, 0])
    }

    /// tokenizers 0.23 gives an added token that is not in the vocabulary the next free number, whatever the file says.
    @Test("added tokens have the numbers that the tokenizers library gives them")
    func addedNumbers() throws {
        let vocabulary = try Vocabulary(
            checkpoint: TokenizerSettingTests.folder(
                added: #",{"id":9,"content":"x"},{"id":7,"content":"b"},{"id":5,"content":"y"}"#))
        #expect(vocabulary.tokens == ["a", "b", "<s>", "</s>", "x", "y"])
        #expect(vocabulary.addedTokens.map(\.id) == [2, 3, 4, 1, 5])
        #expect(vocabulary.notes.count == 2)
        #expect(
            vocabulary.notes.first?.hasSuffix("'x' has the number 9 there, and 4 when the tokenizers library reads it")
                == true)
    }

    @Test("a token beyond the embedding is named with a way out")
    func beyond() throws {
        let vocabulary = try Vocabulary(checkpoint: TokenizerSettingTests.folder())
        let error = #expect(throws: CheckpointError.self) {
            try vocabulary.ggufPairs(vocabularySize: 3, file: "models/m")
        }
        #expect(
            error?.description == "models/m: the added token '</s>' has the number 3; the embedding has 3 rows")
        #expect(error?.hint?.contains("resize the embedding") == true)
    }

    /// convert_hf_to_gguf.py writes add_bos_token false for 49,152 tokens in its class LlamaModel, which Granite inherits.
    @Test("that nothing begins a text is written for 49,152 tokens of llama where the tokenizer says nothing")
    func beginning() throws {
        func written(_ processor: String, _ architecture: String, _ size: Int) throws -> GGUFValue? {
            try Vocabulary(checkpoint: TokenizerSettingTests.folder(processor: processor))
                .ggufPairs(vocabularySize: size, architecture: architecture)
                .first { $0.key == "tokenizer.ggml.add_bos_token" }?.value
        }
        #expect(try written("null", "llama", 49152) == .bool(false))
        #expect(try written("null", "granite", 49152) == .bool(false))
        #expect(try written("null", "qwen2", 49152) == nil)
        #expect(try written("null", "llama", 49153) == nil)
        let template = TokenizerSettingTests.around(["<s>"], [])
        #expect(try written(template, "llama", 49152) == .bool(true))
        #expect(
            try Vocabulary(checkpoint: TokenizerSettingTests.folder(config: #"{"vocab_size":49152}"#)).addsBeginning
                == nil)
    }

    @Test("what a GGUF file cannot say of a tokenizer is noted")
    func notes() throws {
        let vocabulary = try Vocabulary(
            checkpoint: TokenizerSettingTests.folder(
                model: #","ignore_merges":true"#, added: #",{"id":4,"content":"<m>","lstrip":true}"#,
                config: #"{"eos_token_id":[3,0,1,2]}"#))
        #expect(
            vocabulary.ggufNotes(file: "m") == [
                "m: lstrip, rstrip and single_word of '<m>' are left out; GGUF cannot store them",
                "m: ignore_merges is true; runtimes of a GGUF file with the pre-tokenizer 'gpt-2' assume false, so some "
                    + "words may become other tokens",
                "m: a GGUF file holds three tokens that end a text; '<s>' are left out",
            ])
    }

    @Test("a merge whose tokens hold a space is refused on the way to GGUF")
    func spaces() throws {
        var vocabulary = try Vocabulary(checkpoint: TokenizerSettingTests.folder())
        vocabulary.merges = [.init("a b", "c")]
        expect(
            #expect(throws: CheckpointError.self) { try vocabulary.ggufPairs(vocabularySize: 4, file: "m") },
            "m: the merge of 'a b' and 'c' cannot be stored in a GGUF file")
    }
}
