import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Adapters that keep the output matrix tied to the embedding, and those that only seem to.
@Suite("adapters of tied embeddings")
struct TiedOutputTests {
    private typealias Part = (name: String, shape: [Int], values: [Float])

    /// What becomes of a model with an embedding of three tokens whose values are 1, and where it is not tied an output matrix
    /// whose values are 2: the values of its tensors, and whether its configuration still says that it is tied.
    private static func merged(
        _ config: String, _ parts: [Part], isTied: Bool = true, embedding: String = "model.embed_tokens"
    ) throws -> (values: [String: [Float]], isTied: Bool) {
        let folder = TemporaryFolder(), base = folder.makeFolder("base"), adapter = folder.makeFolder("adapter")
        var tensors: [Part] = [(embedding + ".weight", [3, 2], [1, 1, 1, 1, 1, 1])]
        if !isTied { tensors.append(("lm_head.weight", [3, 2], [2, 2, 2, 2, 2, 2])) }
        for (path, name, tensors) in [
            (base, "model.safetensors", tensors),
            (adapter, "adapter_model.safetensors", parts.map { ("base_model.model." + $0, $1, $2) }),
        ] {
            let stored = tensors.map { ($0.name, "F32", $0.shape, littleEndian($0.values)) }
            Files.write(path + "/" + name, SafetensorsBytes(stored).bytes)
        }
        let model =
            #"{"architectures":["NoSuchModel"],"num_hidden_layers":1,"vocab_size":3,"tie_word_embeddings":\#(isTied)}"#
        Files.write(base + "/config.json", Array(model.utf8))
        Files.write(
            adapter + "/adapter_config.json", Array(#"{"peft_type":"LORA","r":1,"lora_alpha":1,\#(config)}"#.utf8))
        let result = try MergeAdapters([.init(Adapter(path: adapter))]).apply(to: Checkpoint.open(base))
        var values: [String: [Float]] = [:]
        for tensor in result.tensors { values[tensor.name] = try Models.floats(tensor) }
        return (values, result.config?["tie_word_embeddings"] == .bool(true))
    }

    private static let saved = [Float](repeating: 7, count: 6)
    private static let savedEmbedding: Part = ("model.embed_tokens.weight", [3, 2], saved)
    private static let savedOutput: Part = ("lm_head.weight", [3, 2], saved)
    /// Adds 2, 3 and 4 to the rows of the tokens; the output matrix has A and B exchanged.
    private static let adapted: [Part] = [
        ("model.embed_tokens.lora_embedding_A", [1, 3], [2, 3, 4]),
        ("model.embed_tokens.lora_embedding_B", [2, 1], [1, 1]),
        ("lm_head.lora_A.weight", [1, 2], [1, 1]), ("lm_head.lora_B.weight", [3, 1], [2, 3, 4]),
    ]
    private static let sum: [Float] = [3, 3, 4, 4, 5, 5]

    @Test(
        "what was trained while both were tied changes one matrix, whether or not the lists of PEFT are there",
        arguments: [
            "", #","modules_to_tie":["lm_head"]"#, #","modules_to_tie":["lm_head"],"target_modules_to_tie":null"#,
        ]
    )
    func savedKeptTied(lists: String) throws {
        let config = #""modules_to_save":["model.embed_tokens"],"ensure_weight_tying":true"# + lists
        for parts in [[Self.savedEmbedding, Self.savedOutput], [Self.savedEmbedding]] {
            let result = try Self.merged(config, parts)
            #expect(result.values == ["model.embed_tokens.weight": Self.saved] && result.isTied)
        }
    }

    @Test(
        "the low-rank change of both is added once",
        arguments: [
            #"["model.embed_tokens"],"target_modules_to_tie":["lm_head"]"#,
            #""(?:.*(lm_head)|^model\\.embed_tokens$)""#,
        ])
    func adaptedKeptTied(targets: String) throws {
        let result = try Self.merged(#""ensure_weight_tying":true,"target_modules":"# + targets, Self.adapted)
        #expect(result.values == ["model.embed_tokens.weight": Self.sum] && result.isTied)
    }

    @Test("without the request the output matrix stays as it was, stored apart")
    func notAsked() throws {
        let result = try Self.merged(#""modules_to_save":["embed_tokens"],"modules_to_tie":[]"#, [Self.savedEmbedding])
        let ones = [Float](repeating: 1, count: 6)
        #expect(result.values == ["model.embed_tokens.weight": Self.saved, "lm_head.weight": ones] && !result.isTied)
    }

    @Test("the request does nothing for modules that PEFT does not tie, and for a model that is not tied")
    func withoutEffect() throws {
        let ones = [Float](repeating: 1, count: 6), twos = [Float](repeating: 2, count: 6)
        let other = try Self.merged(
            #""modules_to_save":["wte"],"ensure_weight_tying":true"#, [("transformer.wte.weight", [3, 2], Self.saved)],
            embedding: "transformer.wte")
        #expect(other.values == ["transformer.wte.weight": Self.saved, "lm_head.weight": ones] && !other.isTied)
        let pattern = try Self.merged(
            #""target_modules":"model\\.embed_tokens","ensure_weight_tying":true"#, Array(Self.adapted[..<2]))
        #expect(pattern.values == ["model.embed_tokens.weight": Self.sum, "lm_head.weight": ones] && !pattern.isTied)
        let apart = try Self.merged(
            #""modules_to_save":["embed_tokens"],"ensure_weight_tying":true"#, [Self.savedEmbedding], isTied: false)
        #expect(apart.values == ["model.embed_tokens.weight": Self.saved, "lm_head.weight": twos])
    }

    static let refused: [(config: String, output: Float, message: String)] = [
        (
            #""modules_to_tie":["lm_head"]"#, 7,
            "names lm_head in 'modules_to_tie', and 'ensure_weight_tying' is not true"
        ),
        (
            #""ensure_weight_tying":false,"target_modules_to_tie":["lm_head"]"#, 7,
            "names lm_head in 'target_modules_to_tie', and 'ensure_weight_tying' is not true"
        ),
        (
            #""ensure_weight_tying":true,"modules_to_tie":["lm_head","classifier"]"#, 7,
            "names classifier in 'modules_to_tie', which is neither an embedding nor an output matrix"
        ),
        (#""ensure_weight_tying":true,"modules_to_tie":7"#, 7, "'modules_to_tie' is 7, not a list of texts"),
        (
            #""ensure_weight_tying":true,"modules_to_tie":["lm_head"]"#, 8,
            "lm_head.weight' is not what the adapter has for the embedding"
        ),
    ]

    @Test(
        "lists that PEFT would not go by, and a tied output matrix with other values, are refused",
        arguments: refused.indices)
    func refusal(index: Int) {
        let (config, output, message) = Self.refused[index]
        let stored: Part = ("lm_head.weight", [3, 2], [7, 7, 7, 7, 7, output])
        let error = #expect(throws: CheckpointError.self) {
            try Self.merged(#""modules_to_save":["embed_tokens"],"# + config, [Self.savedEmbedding, stored])
        }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }
}
