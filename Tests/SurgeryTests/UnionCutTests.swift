import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Runs of layers that are cut at once, against the same runs cut one after the other.
@Suite("cutting several runs at once")
struct UnionCutTests {
    private static let layers = 12

    /// Random runs with layers between them that leave some layers.
    private static func runs(of layers: Int, using generator: inout SeededGenerator) -> LayerRuns {
        while true {
            let cut = (0..<layers).filter { _ in Int.random(in: 0..<10, using: &generator) < 4 }
            let runs = LayerRuns(cut.map { $0..<$0 + 1 })
            if runs.runs.count > 1, runs.count < layers { return runs }
        }
    }

    /// The last run first: the numbers of the others are then still those of the whole model.
    private static func backward(_ runs: LayerRuns, _ model: Checkpoint) throws -> Checkpoint {
        try model.applying(runs.runs.reversed().map { CutLayers(layers: $0) })
    }

    /// The first run first, each with the numbers that its layers have by then.
    private static func forward(_ runs: LayerRuns, _ model: Checkpoint) throws -> Checkpoint {
        var result = model, lost = 0
        for run in runs.runs {
            result = try CutLayers(layers: run.lowerBound - lost..<run.upperBound - lost).apply(to: result)
            lost += run.count
        }
        return result
    }

    /// Holds the cut at once against the cuts one after the other, where those are allowed.
    ///
    /// - Returns: whether one of the orders was allowed.
    private static func hold(_ model: Checkpoint, _ runs: LayerRuns) throws -> Bool {
        let steps = [try? backward(runs, model), try? forward(runs, model)].compactMap { $0 }
        for step in steps {
            let whole = try CutLayers(layers: runs).apply(to: model)
            #expect(whole.tensors.map(\.name) == step.tensors.map(\.name))
            #expect(whole.tensors.map(\.shape) == step.tensors.map(\.shape))
            if !model.tensors.contains(where: { $0.name.containsBytes(of: "per_layer") }) {
                #expect(whole.tensors.map(\.recipe.description) == step.tensors.map(\.recipe.description))
            }
            #expect(whole.metadata == step.metadata)
            // A list that is written in one step may be what the class makes after all of them.
            let isRun = whole.architecture?.layer != nil && whole.form == .folder
            #expect(try whole.config == step.config || (isRun && ModelPlan(whole) == ModelPlan(step)))
        }
        return !steps.isEmpty
    }

    /// A configuration with random settings of every rule whose result is not written in more than one way.
    private static func config(using generator: inout SeededGenerator) -> String {
        func one(_ texts: [String]) -> String { texts.randomElement(using: &generator) ?? "" }
        func list(_ values: [String]) -> String {
            "[" + (0..<layers).map { _ in one(values) }.joined(separator: ",") + "]"
        }
        func numbers() -> String {
            "[" + (0..<layers).filter { _ in Bool.random(using: &generator) }.map(String.init).joined(separator: ",")
                + "]"
        }
        let number = Int.random(in: 0...layers, using: &generator)
        let shared = Int.random(in: 0...4, using: &generator)
        let settings = [
            #""layer_types":\#(list([#""a""#, #""b""#]))"#, #""mlp_only_layers":\#(numbers())"#,
            #""full_attn_layers":\#(numbers())"#, #""first_k_dense_replace":\#(number)"#,
            #""moe_layer_end_index":\#(number - 1)"#, #""num_kv_shared_layers":\#(shared)"#,
            #""kv_source_layers":[\#((0..<layers).map { String($0 / 3 * 3) }.joined(separator: ","))]"#,
            #""indexer_types":\#(list([#""full""#, #""full""#, #""shared""#]))"#,
            #""sliding_window_pattern":\#(Int.random(in: 1...3, using: &generator))"#,
            #""vision_config":{"deepstack_visual_indexes":[1,2]}"#,
            #""per_layer_config":{"03":{"a":1},"07":{"a":2},"11":{"a":3}}"#,
            #""quantization_config":{"ignore":["m.layers.2.w","m.layers.9.x","re:m\\.layers\\.4\\.w"]}"#,
        ]
        let chosen = settings.filter { _ in Int.random(in: 0..<4, using: &generator) == 0 }
        return "{" + ([#""num_hidden_layers":\#(layers)"#] + chosen).joined(separator: ",") + "}"
    }

    @Test("a folder: at once as one after the other, where that is allowed", arguments: 1...60)
    func folder(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var allowed = 0
        for _ in 0..<20 {
            let model = try Models.folder(
                layers: UnionCutTests.layers, config: UnionCutTests.config(using: &generator))
            let runs = UnionCutTests.runs(of: UnionCutTests.layers, using: &generator)
            if try UnionCutTests.hold(model, runs) { allowed += 1 }
        }
        #expect(allowed > 0)
    }

    @Test("every described model, in a folder and in GGUF", arguments: Architecture.all.map(\.name))
    func described(name: String) throws {
        let architecture = try #require(Architecture.all.first { $0.name == name })
        let folder = try DescribedModels.folder(architecture)
        var generator = SeededGenerator(seed: 5)
        for model in [folder, try Convert(to: .gguf).apply(to: folder)] {
            for _ in 0..<8 {
                let runs = UnionCutTests.runs(of: DescribedModels.layers, using: &generator)
                guard try !UnionCutTests.hold(model, runs) else { continue }
                // Some runtimes compute by the layer's number, which no key can change.
                let error = #expect(throws: CheckpointError.self) { _ = try UnionCutTests.backward(runs, model) }
                #expect(model.form == .gguf && "\(error?.description ?? "")".contains("'general.architecture' is"))
            }
        }
    }

    @Test(
        "settings of GGUF that the runtime derives from layer numbers",
        arguments: [
            "gemma2", "gemma3", "cohere2", "llama4", "plamo3", "modern-bert", "qwen3next", "smollm3", "gemma4",
            "gemma3n",
            "any",
        ])
    func gguf(architecture: String) throws {
        let layers = 24
        let model = try Models.gguf(
            architecture, layers: layers,
            [
                ("leading_dense_block_count", .u32(3)), ("attention.shared_kv_layers", .u32(4)),
                (
                    "feed_forward_length",
                    .array(elementType: 4, (0..<layers).map { .u32(UInt32($0 + 1)) })
                ),
            ])
        var generator = SeededGenerator(seed: 9)
        var allowed = 0
        for _ in 0..<200 {
            if try UnionCutTests.hold(model, UnionCutTests.runs(of: layers, using: &generator)) { allowed += 1 }
            // Few layers, so that periods and sharing are kept now and then.
            let starts = [Int.random(in: 0...9, using: &generator), Int.random(in: 14...19, using: &generator)]
            let size = [1, 2, 4].randomElement(using: &generator) ?? 1
            if try UnionCutTests.hold(model, LayerRuns(starts.map { $0..<$0 + size })) { allowed += 1 }
        }
        // Of Gemma 3n only the layers behind the 20th may go.
        #expect(allowed > 5)
    }

    // MARK: what only the whole cut allows

    @Test("a number of layers that llama.cpp treats in another way is passed over")
    func passedOver() throws {
        let model = try Models.gguf("gemma2", layers: 47)
        let runs = LayerRuns([3..<4, 8..<9])
        expectRefusal("'gemma2.block_count' is 47, 46 after the cut") { try UnionCutTests.backward(runs, model) }
        expectRefusal("'gemma2.block_count' is 47, 46 after the cut") { try UnionCutTests.forward(runs, model) }
        let result = try CutLayers(layers: runs).apply(to: model)
        // Every second layer has a window, from the first on: 0 and 2, 4 and 6 (which are 3 and 5), then 10.
        let windows = (0..<47).filter { $0 != 3 && $0 != 8 }.map { GGUFValue.bool($0 % 2 == 0) }
        #expect(
            result.metadata.setting("attention.sliding_window_pattern") == .array(elementType: 7, windows))
        #expect(result.metadata.setting("block_count") == .u32(45))
    }

    @Test("a block that layers share goes with all of them, though none of them could be the last")
    func allUsers() throws {
        let names = (0..<6).flatMap { layer in
            ["m.layers.\(layer).mamba.weight"] + (layer % 2 == 1 ? ["m.layers.\(layer).linear.weight"] : [])
        }
        let model = try Models.named(
            names + ["m.layers.1.shared_transf.w.weight"],
            config: #"{"num_hidden_layers":6,"layers_block_type":["m","h","m","h","m","h"]}"#)
        let runs = LayerRuns([1..<2, 3..<4, 5..<6])
        expectRefusal("and only one would remain") { try UnionCutTests.backward(runs, model) }
        expectRefusal("and only one would remain") { try UnionCutTests.forward(runs, model) }
        let result = try CutLayers(layers: runs).apply(to: model)
        #expect(result.tensors.map(\.name) == (0..<3).map { "m.layers.\($0).mamba.weight" })
        #expect(result.config?["layers_block_type"] == .array([.string("m"), .string("m"), .string("m")]))
    }

    @Test("a list that the class derives is written only where the whole cut breaks it")
    func derived() throws {
        // Two layers of a kind go: two are left between them, which change their places by one.
        let model = try Models.counted(layers: 6, config: #"{"model_type":"gemma2"}"#)
        let broken = try CutLayers(layers: LayerRuns([1..<2, 4..<5])).apply(to: model).config
        #expect(
            broken?["layer_types"]?.array
                == ["sliding_attention", "sliding_attention", "full_attention", "full_attention"].map(JSON.string))
        // One after the other a list is written at once, and stays when the rest follows; the kinds are the same.
        let runs = LayerRuns([1..<2, 5..<6])
        let whole = try #require(try CutLayers(layers: runs).apply(to: model).config)
        let steps = try #require(try UnionCutTests.forward(runs, model).config)
        #expect(whole == steps)
        // A list of kinds that repeats, of which what is left is the beginning again.
        let block = try Models.counted(layers: 6, config: #"{"block_types":["r","r","a"]}"#)
        let kept = try CutLayers(layers: LayerRuns([0..<1, 2..<3, 4..<6])).apply(to: block)
        #expect(kept.config?["block_types"] == block.config?["block_types"])
    }

    @Test("the message names all runs")
    func message() throws {
        let model = try Models.counted(layers: 6, config: #"{"sliding_window_pattern":2}"#)
        expectRefusal("is 2 (every 2nd layer), so the layers 1:2, 3:4 cannot be cut") {
            try CutLayers(layers: LayerRuns([1..<2, 3..<4])).apply(to: model)
        }
        // The last ones may go with others that keep the period.
        #expect(try CutLayers(layers: LayerRuns([1..<3, 5..<6])).apply(to: model).layerCount == 3)
        expectRefusal("the range 0:6 is all 6 layers") {
            try CutLayers(layers: LayerRuns([0..<3, 2..<6])).apply(to: model)
        }
    }
}
