import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Adapters that hold the embeddings of a base with another number of tokens, and a tokenizer. Values are whole numbers, which
/// every type holds.
@Suite("adapters with a vocabulary of their own")
struct ResizedVocabularyTests {
    private static let embedding = "base_model.model.model.embed_tokens.weight"
    private static let output = "base_model.model.lm_head.weight"

    private static func values(_ rows: Int, _ columns: Int = 2, of value: Float) -> [UInt8] {
        littleEndian([Float](repeating: value, count: rows * columns))
    }

    /// A llama without layers that matter: an embedding of three tokens, an output matrix unless it is tied, one layer.
    private static func base(_ folder: TemporaryFolder, isTied: Bool, tokens: [String] = ["a", "b", "c"]) throws
        -> String
    {
        let path = folder.makeFolder("base")
        var tensors = [
            ("model.embed_tokens.weight", "F32", [3, 2], values(3, of: 1)),
            ("model.layers.0.self_attn.q_proj.weight", "F32", [2, 2], values(2, of: 1)),
        ]
        if !isTied { tensors.append(("lm_head.weight", "F32", [3, 2], values(3, of: 2))) }
        Files.write(path + "/model.safetensors", SafetensorsBytes(tensors).bytes)
        let config =
            #"{"architectures":["NoSuchModel"],"num_hidden_layers":1,"vocab_size":3,"tie_word_embeddings":\#(isTied)}"#
        Files.write(path + "/config.json", Array(config.utf8))
        tokenizer(path, tokens)
        Files.write(path + "/added_tokens.json", Array("{}".utf8))
        Files.write(path + "/LICENSE", Array("free".utf8))
        return path
    }

    private static func tokenizer(_ path: String, _ tokens: [String]) {
        let vocabulary = tokens.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
        Files.write(path + "/tokenizer.json", Array("{\"model\":{\"vocab\":{\(vocabulary)}},\"added_tokens\":[]}".utf8))
        Files.write(path + "/tokenizer_config.json", Array("{\"n\":\(tokens.count)}".utf8))
    }

    /// An adapter that adds 2 to the query matrix, and stores whole tensors: each a name, rows, and the value of all elements.
    private static func adapter(
        _ folder: TemporaryFolder, _ name: String = "adapter", wholes: [(String, Int, Float)], saved: [String] = [],
        tokens: [String]? = nil
    ) -> String {
        let path = folder.makeFolder(name), stem = "base_model.model.model.layers.0.self_attn.q_proj."
        let tensors =
            [
                (stem + "lora_A.weight", "F32", [1, 2], values(1, of: 1)),
                (stem + "lora_B.weight", "F32", [2, 1], values(1, of: 2)),
            ] + wholes.map { ($0.0, "F32", [$0.1, 2], values($0.1, of: $0.2)) }
        Files.write(path + "/adapter_model.safetensors", SafetensorsBytes(tensors).bytes)
        let names = saved.map { "\"\($0)\"" }.joined(separator: ",")
        let config =
            #"{"peft_type":"LORA","r":1,"lora_alpha":1,"target_modules":["q_proj"],"modules_to_save":[\#(names)]}"#
        Files.write(path + "/adapter_config.json", Array(config.utf8))
        if let tokens { tokenizer(path, tokens) }
        return path
    }

    private static func merged(_ base: String, _ adapters: [String], weight: Double = 1) throws -> Checkpoint {
        let adapters = try adapters.map { MergeAdapters.Weighted(try Adapter(path: $0), weight: weight) }
        return try MergeAdapters(adapters).apply(to: Checkpoint.open(base))
    }

    @Test(
        "the result has the embeddings of the adapter, as many tokens in its configuration, and the adapter's tokenizer"
    )
    func untied() throws {
        let folder = TemporaryFolder(), base = try Self.base(folder, isTied: false)
        let tokens = ["a", "b", "c", "d", "e"]
        let path = Self.adapter(folder, wholes: [(Self.embedding, 5, 7), (Self.output, 5, 8)], tokens: tokens)
        let result = try Self.merged(base, [path])
        #expect(result.tensors.map(\.shape) == [[5, 2], [2, 2], [5, 2]])
        #expect(try result.tensors.map { try Models.floats($0)[0] } == [7, 3, 8])
        #expect(result.config?["vocab_size"] == .int(5))
        // A list of added tokens that the adapter's tokenizer does not have is not left beside it.
        #expect(result.companions.map(\.name) == ["LICENSE", "tokenizer.json", "tokenizer_config.json"])
        #expect(result.companion("tokenizer_config.json")?.contents == Array("{\"n\":5}".utf8))
        #expect(result.notes.contains { $0.contains("has 5 tokens rather than 3") })
        #expect(result.notes.contains { $0.contains("the tokenizer is that of \(path)") })
    }

    @Test("a tied model stays tied when the adapter stores its embedding twice, and becomes untied when the two differ")
    func tied() throws {
        for (value, names) in [
            (Float(7), ["model.embed_tokens.weight"]), (8, ["model.embed_tokens.weight", "lm_head.weight"]),
        ] {
            let folder = TemporaryFolder(), base = try Self.base(folder, isTied: true)
            let path = Self.adapter(
                folder, wholes: [(Self.output, 5, value), (Self.embedding, 5, 7)],
                saved: value == 7 ? [] : ["embed_tokens"])
            let result = try Self.merged(base, [path])
            let found = result.tensors.filter { $0.shape == [5, 2] }
            #expect(found.map(\.name) == names)
            #expect(try found.map { try Models.floats($0)[9] } == (value == 7 ? [7] : [7, 8]))
            #expect(result.config?["tie_word_embeddings"] == .bool(value == 7))
        }
    }

    @Test("the base of the outcome has the tensors of the result, with the values from before the changes")
    func outcome() throws {
        let folder = TemporaryFolder(), base = try Self.base(folder, isTied: true)
        let wholes = [(Self.embedding, 5, Float(7)), (Self.output, 5, 8)]
        let adapter = try Adapter(path: Self.adapter(folder, wholes: wholes, saved: ["embed_tokens", "lm_head"]))
        let (merged, before) = try MergeAdapters([.init(adapter)]).outcome(of: Checkpoint.open(base))
        #expect(merged.tensors.map(\.name) == before.tensors.map(\.name))
        #expect(merged.tensors.map(\.shape) == before.tensors.map(\.shape))
        #expect(try before.tensors.map { try Models.floats($0)[0] } == [7, 1, 7])
        #expect(try merged.tensors.map { try Models.floats($0)[0] } == [7, 3, 8])
    }

    @Test("a tokenizer that the base has too, or settings without tokens, change nothing")
    func sameTokenizer() throws {
        let folder = TemporaryFolder(), base = try Self.base(folder, isTied: true)
        let path = Self.adapter(folder, wholes: [], tokens: ["a", "b", "c"])
        let before = try Checkpoint.open(base).companions.map(\.name)
        #expect(try Self.merged(base, [path]).companions.map(\.name) == before)
        let other = Self.adapter(folder, "other", wholes: [])
        Files.write(other + "/tokenizer_config.json", Array("{}".utf8))
        let result = try Self.merged(base, [other])
        #expect(result.companions.map(\.name) == before && result.notes.isEmpty)
    }

    static let refused: [(String, [(String, Int, Float)], Bool, Double, [String]?, String)] = [
        (
            "only the embedding", [(embedding, 5, 7)], false, 1, nil,
            "has the shape [5, 2], and lm_head.weight of BASE has [3, 2]; the adapter does not hold the rows of the new tokens"
        ),
        (
            "two sizes", [(embedding, 5, 7), (output, 4, 8)], false, 1, nil,
            "has the shape [4, 2], and model.embed_tokens.weight of the adapter has [5, 2]: the vocabulary has one size"
        ),
        (
            "only the output of a tied model", [(output, 5, 7)], true, 1, nil,
            "has the shape [5, 2], and model.embed_tokens.weight of BASE has [3, 2]; the adapter does not hold"
        ),
        (
            "a weight", [(embedding, 5, 7), (output, 5, 8)], false, 0.5, nil,
            "a weight of 0.5 is for low-rank changes alone"
        ),
        (
            "tokens without rows", [], false, 1, ["a", "b", "c", "d"],
            "has 4 tokens, and model.embed_tokens.weight of the result has 3 rows"
        ),
        (
            "the same tensor twice",
            [(embedding, 5, 7), ("base_model.model.model.embed_tokens.modules_to_save.weight", 5, 6)],
            true, 1, nil, "has other values than base_model.model.model.embed_tokens.weight"
        ),
    ]

    @Test("a vocabulary that an adapter does not hold whole is refused with both shapes", arguments: refused.indices)
    func refusals(index: Int) throws {
        let (what, wholes, isTied, weight, tokens, message) = Self.refused[index]
        let folder = TemporaryFolder(), base = try Self.base(folder, isTied: isTied)
        let path = Self.adapter(folder, wholes: wholes, tokens: tokens)
        let error = #expect(throws: CheckpointError.self) { try Self.merged(base, [path], weight: weight) }
        let text = error?.description ?? "", wanted = message.replacing("BASE", with: base)
        #expect(text.contains(wanted), "\(what): \(text)")
    }

    @Test("adapters of different vocabularies or tokenizers are refused together")
    func several() throws {
        let folder = TemporaryFolder(), base = try Self.base(folder, isTied: true)
        let five = Self.adapter(folder, "five", wholes: [(Self.embedding, 5, 7)], tokens: ["a", "b", "c", "d", "e"])
        let six = Self.adapter(folder, "six", wholes: [(Self.embedding, 6, 7)])
        let other = Self.adapter(folder, "other", wholes: [], tokens: ["a", "b", "x"])
        for (paths, message) in [
            ([five, six], "has the shape [6, 2], and model.embed_tokens.weight of \(base) has [5, 2] after \(five)"),
            ([five, other], "\(other): has other tokens than \(five)"),
        ] {
            let error = #expect(throws: CheckpointError.self) { try Self.merged(base, paths) }
            #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
        }
    }

    @Test("the folder of a training without an adapter of its own is refused with the folders that hold one")
    func steps() throws {
        let folder = TemporaryFolder()
        folder.makeFolder("run")
        for name in ["checkpoint-100", "checkpoint-200"] { _ = Self.adapter(folder, "run/" + name, wholes: []) }
        let error = #expect(throws: CheckpointError.self) { try Adapter(path: folder("run")) }
        #expect(error?.hint?.contains("there are adapters in checkpoint-100, checkpoint-200") == true)
    }

    @Test("a base in GGUF, whose tokens lie in the file, is not resized")
    func gguf() throws {
        let folder = TemporaryFolder()
        let path = Self.adapter(folder, wholes: [])
        let width = 256, layer = "base_model.model.model.layers.0.self_attn.q_proj."
        let tensors = [
            (layer + "lora_A.weight", "F32", [1, width], Self.values(1, width, of: 1)),
            (layer + "lora_B.weight", "F32", [width, 1], Self.values(1, width, of: 1)),
            (Self.embedding, "F32", [2049, width], Self.values(2049, width, of: 1)),
        ]
        Files.write(path + "/adapter_model.safetensors", SafetensorsBytes(tensors).bytes)
        Files.write(
            path + "/adapter_config.json",
            Array(
                #"{"peft_type":"LORA","r":1,"lora_alpha":1,"target_modules":["q_proj"],"layers_to_transform":[0]}"#.utf8
            ))
        let base = try Convert(to: .gguf).apply(to: Checkpoint.open(Fixture.model))
        let error = #expect(throws: CheckpointError.self) {
            try MergeAdapters([.init(Adapter(path: path))]).apply(to: base)
        }
        let text = error?.description ?? ""
        #expect(text.contains("has the shape [2049, 256], and token_embd.weight of"), "\(text)")
        #expect(text.contains("has [2048, 256], whose vocabulary lies in the file"), "\(text)")
    }
}
