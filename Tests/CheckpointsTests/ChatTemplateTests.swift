import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("chat templates")
struct ChatTemplateTests {
    /// The fixture's tokenizer with other files beside it.
    private static func folder(_ files: [(String, String)]) throws -> Checkpoint {
        var checkpoint = try Checkpoint.open(Fixture.model)
        let names = files.map(\.0)
        checkpoint.companions.removeAll { names.contains($0.name) }
        checkpoint.companions += files.map { .init(name: $0.0, contents: Array($0.1.utf8)) }
        return checkpoint
    }

    private static func keys(_ checkpoint: Checkpoint) throws -> [GGUFMetadata.Pair] {
        try Vocabulary(checkpoint: checkpoint).ggufPairs(vocabularySize: 2048).filter {
            $0.key.hasPrefix("tokenizer.chat_template")
        }
    }

    /// The keys and their order are those of gguf-py: GGUFWriter.add_chat_template.
    @Test("a list of named templates becomes the keys that gguf-py writes")
    func list() throws {
        let settings = #"{"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]}"#
        let pairs = try ChatTemplateTests.keys(ChatTemplateTests.folder([("tokenizer_config.json", settings)]))
        #expect(
            pairs == [
                .init(key: "tokenizer.chat_template.tool_use", value: .string("T")),
                .init(key: "tokenizer.chat_templates", value: .strings(["tool_use"])),
                .init(key: "tokenizer.chat_template", value: .string("D")),
            ])
    }

    @Test(
        "a template is found in each file that may hold it",
        arguments: [
            ("tokenizer_config.json", #"{"chat_template":"D"}"#), ("chat_template.jinja", "D"),
            ("chat_template.json", #"{"chat_template":"D"}"#),
            ("chat_template.json", #"{"chat_template":[{"name":"default","template":"D"}]}"#),
            ("chat_template.json", #"{"chat_template":{"default":"D"}}"#),
        ])
    func places(file: String, text: String) throws {
        let vocabulary = try Vocabulary(checkpoint: ChatTemplateTests.folder([(file, text)]))
        #expect(vocabulary.chatTemplates == [.init(text: "D")])
        #expect(vocabulary.notes == [])
    }

    @Test("templates of the sub-folder are named after their files, with and without a default one")
    func subfolder() throws {
        var files = [("additional_chat_templates/tool_use.jinja", "T"), ("additional_chat_templates/rag.jinja", "R")]
        let named: [Vocabulary.ChatTemplate] = [.init(name: "rag", text: "R"), .init(name: "tool_use", text: "T")]
        #expect(try Vocabulary(checkpoint: ChatTemplateTests.folder(files)).chatTemplates == named)
        files.append(("chat_template.jinja", "D"))
        #expect(
            try Vocabulary(checkpoint: ChatTemplateTests.folder(files)).chatTemplates == [.init(text: "D")] + named)
    }

    @Test("where two files disagree, tokenizer_config.json counts and a note says so")
    func disagreement() throws {
        let vocabulary = try Vocabulary(
            checkpoint: ChatTemplateTests.folder([
                ("tokenizer_config.json", #"{"chat_template":"OLD"}"#), ("chat_template.jinja", "NEW"),
                ("chat_template.json", #"{"chat_template":"OLD"}"#),
            ]))
        #expect(vocabulary.chatTemplates == [.init(text: "OLD")])
        #expect(vocabulary.notes.count == 1)
        #expect(
            vocabulary.notes.first?.hasSuffix(
                "the chat template 'default' is that of tokenizer_config.json; chat_template.jinja has another one")
                == true)
    }

    @Test("names become keys of letters and digits; two that become the same key are refused")
    func keyNames() throws {
        var vocabulary = try Vocabulary(checkpoint: ChatTemplateTests.folder([]))
        vocabulary.chatTemplates = [.init(name: "tool-use", text: "T")]
        let pairs = try vocabulary.ggufPairs(vocabularySize: 2048)
        #expect(pairs.contains { $0.key == "tokenizer.chat_template.tool_use" && $0.value == .string("T") })
        #expect(!pairs.contains { $0.key == "tokenizer.chat_template" })
        #expect(
            vocabulary.ggufNotes(file: "m") == ["m: the chat template 'tool-use' is called 'tool_use' in a GGUF file"])
        vocabulary.chatTemplates.append(.init(name: "tool_use", text: "U"))
        expect(
            #expect(throws: CheckpointError.self) { try vocabulary.ggufPairs(vocabularySize: 2048, file: "m") },
            "m: the chat template 'tool_use' would have the same key")
    }

    /// transformers 5 gives {"default": "D", "tool_use": "T"} for such a list; one template alone stays text.
    @Test("a GGUF file's templates go to tokenizer_config.json: one as text, several as a list")
    func written() throws {
        func member(_ templates: [Vocabulary.ChatTemplate]) throws -> JSON? {
            var vocabulary = try Vocabulary(checkpoint: ChatTemplateTests.folder([]))
            vocabulary.chatTemplates = templates
            let file = try #require(try vocabulary.folderFiles().first { $0.name == "tokenizer_config.json" })
            return try file.contents.withUnsafeBytes { try JSON.parse($0) }["chat_template"]
        }
        #expect(try member([]) == nil)
        #expect(try member([.init(text: "D")]) == .string("D"))
        let list = #"[{"name":"default","template":"D"},{"name":"tool_use","template":"T"}]"#
        #expect(try member([.init(text: "D"), .init(name: "tool_use", text: "T")]) == JSON.parse(list))
        let named = #"[{"name":"tool_use","template":"T"}]"#
        #expect(try member([.init(name: "tool_use", text: "T")]) == JSON.parse(named))
    }

    @Test(
        "templates that cannot be read are refused",
        arguments: [
            (#"{"chat_template":7}"#, "'chat_template' is neither text nor a list of templates"),
            (#"{"chat_template":[{"name":"a"}]}"#, "a chat template has no name or no text"),
            (
                #"{"chat_template":[{"name":"a","template":"1"},{"name":"a","template":"2"}]}"#,
                "has two chat templates 'a'"
            ),
        ])
    func refused(settings: String, message: String) throws {
        let checkpoint = try ChatTemplateTests.folder([("tokenizer_config.json", settings)])
        expect(#expect(throws: CheckpointError.self) { try Vocabulary(checkpoint: checkpoint) }, message)
    }
}
