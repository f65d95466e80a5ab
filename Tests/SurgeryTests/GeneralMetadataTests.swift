import Checkpoints
import Formats
import Surgery
import Testing

/// Right values: gguf-py's `Metadata.apply_metadata_heuristic` and `Metadata.load` for a folder `kjv-7m` of 7.6 million parameters.
@Suite("general metadata of a GGUF file")
struct GeneralMetadataTests {
    struct Name: Sendable {
        let text, name: String
        let organization, basename, finetune, version, size: String?

        init(
            _ text: String, _ name: String, _ organization: String?, _ basename: String?, _ finetune: String?,
            _ version: String?, _ size: String?
        ) {
            (self.text, self.name, self.organization) = (text, name, organization)
            (self.basename, self.finetune, self.version, self.size) = (basename, finetune, version, size)
        }
    }

    static let names: [Name] = [
        Name("meta-llama/Llama-2-7b-chat-hf", "Llama 2 7b Chat Hf", "Meta Llama", "Llama-2", "7b-chat-hf", nil, "7M"),
        Name("Qwen/Qwen2.5-0.5B-Instruct", "Qwen2.5 0.5B Instruct", "Qwen", "Qwen2.5", "0.5b-Instruct", nil, "7M"),
        Name("mistralai/Mixtral-8x7B-v0.1", "Mixtral 8x7B v0.1", "Mistralai", "Mixtral", nil, "v0.1", "8x7B"),
        Name("Mistral-7B-Instruct-v0.3", "Mistral 7B Instruct v0.3", nil, "Mistral", "7b-Instruct", "v0.3", "7M"),
        Name("bloom-7b1", "Bloom 7b1", nil, "bloom", "7.1b", nil, "7M"),
        Name("Qwen/Qwen3-30B-A3B", "Qwen3 30B A3B", "Qwen", "Qwen3", "30b", nil, "A3B"),
        Name("phi-3-mini-4k-instruct", "Phi 3 Mini 4k Instruct", nil, "phi-3", "4k-instruct", nil, "mini"),
        Name("a name of words", "A Name Of Words", nil, "kjv", nil, nil, "7M"),
        Name("gpt2-xl", "Gpt2 Xl", nil, "gpt2", nil, nil, "xl"),
        Name("./local", "Local", nil, "kjv", nil, nil, "7M"),
        Name("my-model-q4_k_m", "My Model Q4_K_M", nil, "kjv", nil, nil, "7M"),
        Name(
            "org/Llama-3_1-Nemotron-51B-Instruct", "Llama 3_1 Nemotron 51B Instruct", "Org", "Llama",
            "3_1-Nemotron-51b-Instruct", nil, "7M"),
        Name("granite-3.1-8b-base", "Granite 3.1 8b Base", nil, "granite-3.1", "8b-base", nil, "7M"),
        Name("Tiny-Model-7M-v1.5-bf16", "Tiny Model 7M v1.5 Bf16", nil, "Tiny-Model", nil, "v1.5", "7M"),
        Name("x-1.5-iter2-lora", "X 1.5 Iter2 Lora", nil, "x-1.5-iter2", "lora", nil, "7M"),
        Name("Model-1_5b-7b-7b", "Model 1_5b 7b 7b", nil, "Model", "1.5b-7b-7b", nil, "7M"),
    ]

    @Test("a model's name says who made it, its family, version, size and fine-tuning", arguments: names)
    func parts(name: Name) throws {
        var model = try Models.fixture()
        model.config?["_name_or_path"] = .string(name.text)
        let metadata = try Convert(to: .gguf).apply(to: model).metadata
        func text(_ key: String) -> String? { metadata["general.\(key)"]?.string }
        #expect(text("name") == name.name)
        #expect(text("organization") == name.organization && text("basename") == name.basename)
        #expect(text("finetune") == name.finetune && text("version") == name.version)
        #expect(text("size_label") == name.size)
    }

    static let card = """
        ---
        license: other
        license_name: "own licence"   # a comment
        license_link: https://example.com/licence
        language:
        - en
        - no
        - 'de'
        tags: [one, "two", three]
        pipeline_tag: text-generation
        model_creator: Some One
        model_name: My 'quoted' Model
        description: >
          Two lines
          that are one.
        base_model:
          - meta-llama/Llama-3.2-1B
          - https://huggingface.co/Qwen/Qwen2.5-7B-Instruct
          - https://example.com/other
          - name: Own
            repo_url: https://example.com/own
        datasets:
        - allenai/c4
        model-index:
        - name: x
          results:
            - task:
                type: text
        library_name: transformers
        ---
        # Title
        tags: not these
        """

    @Test("the card says what the model may be used for and what it was made from")
    func cards() throws {
        var model = try Models.fixture()
        model.config?["_name_or_path"] = nil
        model.companions.removeAll { $0.name == "README.md" }
        model.companions.append(.init(name: "README.md", contents: Array(GeneralMetadataTests.card.utf8)))
        let metadata = try Convert(to: .gguf).apply(to: model).metadata
        let hub = "https://huggingface.co/"
        let expected: [(String, GGUFValue)] = [
            ("name", .string("My 'quoted' Model")), ("author", .string("Some One")), ("basename", .string("kjv")),
            ("description", .string("Two lines that are one.\n")), ("size_label", .string("7M")),
            ("license", .string("other")), ("license.name", .string("own licence")),
            ("license.link", .string("https://example.com/licence")), ("base_model.count", .u32(4)),
            ("base_model.0.name", .string("Llama 3.2 1B")), ("base_model.0.organization", .string("Meta Llama")),
            ("base_model.0.repo_url", .string(hub + "meta-llama/Llama-3.2-1B")),
            ("base_model.1.name", .string("Qwen2.5 7B Instruct")), ("base_model.1.organization", .string("Qwen")),
            ("base_model.1.repo_url", .string(hub + "Qwen/Qwen2.5-7B-Instruct")),
            ("base_model.2.repo_url", .string("https://example.com/other")), ("base_model.3.name", .string("Own")),
            ("base_model.3.repo_url", .string("https://example.com/own")), ("dataset.count", .u32(1)),
            ("dataset.0.name", .string("C4")), ("dataset.0.organization", .string("Allenai")),
            ("dataset.0.repo_url", .string(hub + "allenai/c4")),
            ("tags", .strings(["one", "two", "three", "text-generation"])),
            ("languages", .strings(["en", "no", "de"])),
        ]
        for (key, value) in expected { #expect(metadata["general.\(key)"] == value, "\(key)") }
        let general = metadata.pairs.map(\.key).filter { $0.hasPrefix("general.") && !$0.contains(".sampling.") }
        let others = ["general.architecture", "general.type", "general.file_type", "general.quantization_version"]
        #expect(Set(general) == Set(expected.map { "general." + $0.0 } + others))
    }

    /// Keys that say what the model is, and the card of a folder made from a file with them.
    private static func returned(_ pairs: [GGUFMetadata.Pair]) throws -> (general: [GGUFMetadata.Pair], card: String) {
        var folder = try Models.fixture()
        folder.companions.removeAll { $0.name == "README.md" }
        var file = try Convert(to: .gguf).apply(to: folder)
        var metadata = file.metadata
        for key in metadata.pairs.map(\.key) where described(key) { metadata[key] = nil }
        for pair in pairs { metadata[pair.key] = pair.value }
        file.container = .gguf(metadata)
        let made = try Convert(to: .folder).apply(to: file)
        let again = try Convert(to: .gguf).apply(to: made).metadata
        return (
            again.pairs.filter { described($0.key) },
            String(decoding: made.companion("README.md")?.contents ?? [], as: UTF8.self)
        )
    }

    private static func described(_ key: String) -> Bool {
        key.hasPrefix("general.")
            && !["architecture", "type", "file_type", "quantization_version", "alignment", "size_label"].contains {
                key == "general." + $0
            } && !key.hasPrefix("general.sampling.")
    }

    @Test("what a GGUF file says of its origin and licence outlives a folder")
    func outlives() throws {
        var model = try Models.fixture()
        model.companions.removeAll { $0.name == "README.md" }
        model.companions.append(.init(name: "README.md", contents: Array(GeneralMetadataTests.card.utf8)))
        let pairs = try Convert(to: .gguf).apply(to: model).metadata.pairs.filter {
            GeneralMetadataTests.described($0.key)
        }
        let (general, card) = try GeneralMetadataTests.returned(pairs)
        #expect(
            Dictionary(uniqueKeysWithValues: general.map { ($0.key, $0.value) })
                == Dictionary(uniqueKeysWithValues: pairs.map { ($0.key, $0.value) }))
        #expect(card.contains("\nlicense: other\nlicense_name: \"own licence\"\n"))
    }

    @Test("names on the hub, and texts that YAML would read as something else, come back")
    func plainNames() throws {
        let hub = "https://huggingface.co/"
        let pairs =
            [
                ("name", "no"), ("author", "a: b # c"), ("organization", "a\u{2028}b\u{85}c\u{7F}d\u{FFFE}"),
                ("basename", "\u{301}x\u{600}"), ("finetune", "- \u{1F600}"), ("version", "1.0"),
                ("description", "a \"b\"\nc\\"),
                ("license", "apache-2.0"), ("base_model.0.name", "SmolLM2 135M"),
                ("base_model.0.organization", "HuggingFaceTB"),
                ("base_model.0.repo_url", hub + "HuggingFaceTB/SmolLM2-135M"),
            ].map { GGUFMetadata.Pair(key: "general." + $0.0, value: .string($0.1)) }
            + [
                .init(key: "general.base_model.count", value: .u32(1)),
                .init(key: "general.languages", value: .strings(["no"])),
            ]
        let (general, card) = try GeneralMetadataTests.returned(pairs)
        #expect(card.contains("\nbase_model: HuggingFaceTB/SmolLM2-135M\n"))
        #expect(card.contains("\nlicense: apache-2.0\n") && card.contains("\nlanguage:\n- \"no\"\n"))
        for pair in pairs { #expect(general.first { $0.key == pair.key }?.value == pair.value, "\(pair.key)") }
        // What PyYAML refuses, or takes for the end of a line, is escaped.
        #expect(card.unicodeScalars.allSatisfy { ![0x2028, 0x85, 0x7F, 0xFFFE, 0x301].contains($0.value) })
    }

    @Test(
        "an origin whose facts do not follow from its address keeps them",
        arguments: ["meta-llama/Llama-3.2-1B", "/b", "a/", "a b/c", "./x"])
    func ownFacts(name: String) throws {
        let pairs = [
            ("name", "My Own Name"), ("organization", "ACME"), ("version", "v9"),
            ("repo_url", "https://huggingface.co/" + name),
        ].map { GGUFMetadata.Pair(key: "general.base_model.0." + $0.0, value: .string($0.1)) }
        let (general, _) = try GeneralMetadataTests.returned(
            pairs + [.init(key: "general.base_model.count", value: .u32(1))])
        for pair in pairs { #expect(general.first { $0.key == pair.key }?.value == pair.value, "\(pair.key)") }
    }
}
