import Checkpoints
import Formats
import Healing
import Surgery
import TestSupport
import Testing

@Suite("a recipe for a training on GPUs")
struct TrainingRecipeTests {
    private static func text(_ path: String) -> String { String(decoding: Files.read(path), as: UTF8.self) }

    private static func recipe(corpus: [String], dropped: Range<Int> = 3..<6) throws -> TrainingRecipe {
        TrainingRecipe(
            try HealingTextTests.model(), dropped: LayerRuns([dropped]), layerCount: 12,
            command: { ["heal", $0, "--corpus", "it's a text", "--layers", "3:6", "-o", "pruned"] }, corpus: corpus)
    }

    @Test("the folder has the commands, PEFT's configuration, the values and the texts")
    func files() throws {
        let folder = TemporaryFolder()
        var random = SeededGenerator(seed: 4)
        let own = folder.write("own.txt", HealingTextTests.prose(10, &random))
        try Self.recipe(corpus: [own, "builtin"]).write(to: folder("recipe"))
        #expect(
            Files.names(folder("recipe")) == [
                "README.md", "adapter_config.json", "prune.sh", "recipe.json", "requirements.txt", "texts", "train.py",
            ])
        let config = try JSON.parse(Self.text(folder("recipe/adapter_config.json")))
        #expect(config["r"]?.int == 8 && config["lora_alpha"]?.int == 16 && config["task_type"]?.string == "CAUSAL_LM")
        #expect(config["target_modules"]?.array?.map(\.string) == ["gate_proj", "up_proj", "down_proj"])
        let values = try JSON.parse(Self.text(folder("recipe/recipe.json")))
        // 3 of 12 layers: the second row of the review's table.
        #expect(values["steps"]?.int == 250 && values["rate"]?.double == 5e-5 && values["warmup"]?.int == 20)
        #expect(values["teacher"]?.string == "logits" && values["layers"]?.string == "3:6")
        let whole = try #require(values["whole"]?.string)
        #expect(whole.hasPrefix("/") && whole.hasSuffix("fixtures/kjv-7m"))
        #expect(
            Self.text(folder("recipe/prune.sh")).hasSuffix(
                #"resect}" heal \#(whole) --corpus 'it'\''s a text' --layers 3:6 -o pruned"# + "\n"))
        let kinds = try #require(values["texts"]?.array)
        #expect(kinds.count == 8 && kinds[0]["kind"]?.string == own)
        let judging = try #require(values["judges"]?.array)
        #expect(judging.count == 8)
        var names = Set(Files.names(folder("recipe/texts")))
        #expect(names.remove("ORIGINS.md") != nil)
        for kind in kinds.dropFirst() + judging {
            for file in try #require(kind["files"]?.array) {
                let path = try #require(file.string)
                #expect(names.remove(String(path.dropFirst("texts/".count))) != nil, "\(path)")
                #expect(!Self.text(folder("recipe/" + path)).isEmpty)
            }
        }
        #expect(names.isEmpty, "no document is both trained on and judged")
        let readme = Self.text(folder("recipe/README.md"))
        #expect(!readme.contains("{{") && readme.contains("whose layers 3:6 were cut (25 % of all layers)"))
    }

    @Test("the modules are those of the MLP, or of attention beside experts, and each name is of one module")
    func targets() throws {
        let expected = [
            "LlamaForCausalLM": ["gate_proj", "up_proj", "down_proj"], "GPT2LMHeadModel": ["c_fc", "mlp.c_proj"],
            "MixtralForCausalLM": ["q_proj", "k_proj", "v_proj", "o_proj"],
        ]
        for (name, targets) in expected {
            let recipe = TrainingRecipe(
                try FamilyTests.model(name), dropped: LayerRuns([2..<3]), layerCount: 6, command: { ["cut", $0] },
                corpus: ["builtin"])
            #expect(recipe.values.targets == targets, "\(name)")
        }
    }

    @Test("a file is converted to a folder before the cut, because transformers trains folders")
    func file() throws {
        let folder = TemporaryFolder()
        var model = try HealingTextTests.model()
        model.path = folder.write("model.gguf", "x")
        let recipe = TrainingRecipe(
            model, dropped: LayerRuns([3..<6]), layerCount: 12, command: { ["cut", $0, "-o", "pruned"] },
            corpus: ["builtin"])
        try recipe.write(to: folder("recipe"))
        let lines = Self.text(folder("recipe/prune.sh")).split(separator: "\n").suffix(2)
        #expect(lines.first?.hasSuffix("model.gguf -o whole --dtype bf16") == true)
        #expect(lines.last?.hasSuffix(" cut whole -o pruned") == true)
        #expect(try JSON.parse(Self.text(folder("recipe/recipe.json")))["whole"]?.string == "whole")
    }

    @Test("the more layers are cut, the more rank and steps, at a lower rate")
    func shares() {
        let values = [0.1, 0.2, 0.25, 0.4, 0.5].map(TrainingValues.init(shareRemoved:))
        #expect(values.map(\.rank) == [8, 8, 8, 16, 16])
        #expect(values.map(\.steps) == [150, 150, 250, 400, 500])
        #expect(values.map(\.rate) == [1e-4, 1e-4, 5e-5, 5e-5, 2e-5])
    }

    @Test("a folder that exists, and a text that does not, are refused, and nothing is written")
    func refusals() throws {
        let folder = TemporaryFolder()
        let error = #expect(throws: CheckpointError.self) {
            try Self.recipe(corpus: ["builtin"]).write(to: folder.path)
        }
        #expect(error?.description.hasSuffix(": exists") == true)
        #expect(throws: CheckpointError.self) {
            try Self.recipe(corpus: [folder("missing")]).write(to: folder("recipe"))
        }
        #expect(folder.names.isEmpty)
    }
}
