import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("tensors that depend on the layers")
struct LayerTensorTests {
    /// A byte for each element: its row times 16 plus its column.
    private struct Numbered: RowSource {
        let columns: Int
        var description: String { "numbered" }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            for (index, row) in rows.enumerated() {
                for column in 0..<columns { output[index * columns + column] = UInt8(row * 16 + column) }
            }
        }
    }

    private static let u8 = DType.all.first { $0.name == "U8" } ?? .f32

    private static func numbered(_ name: String, _ shape: [Int]) -> Tensor {
        Tensor(name: name, dtype: u8, shape: shape, recipe: .computed(Numbered(columns: shape[1])))
    }

    @Test("slices of a per-layer embedding and of its projection follow a cut")
    func slices() throws {
        var model = try Models.counted(layers: 4, config: #"{"hidden_size_per_layer_input":2}"#)
        model.tensors += [
            LayerTensorTests.numbered("m.embed_tokens_per_layer.weight", [2, 8]),
            LayerTensorTests.numbered("m.per_layer_model_projection.weight", [8, 2]),
        ]
        let result = try CutLayers(layers: 1..<3).apply(to: model)
        let columns = try #require(result.tensor(named: "m.embed_tokens_per_layer.weight"))
        #expect(columns.shape == [2, 4])
        #expect(try Models.bytes(columns) == [0, 1, 6, 7, 16, 17, 22, 23])
        let rows = try #require(result.tensor(named: "m.per_layer_model_projection.weight"))
        #expect(rows.shape == [4, 2])
        #expect(try Models.bytes(rows) == [0, 1, 16, 17, 96, 97, 112, 113])
        #expect(try rows.withBytes(rows: 1..<3) { [UInt8]($0) } == [16, 17, 96, 97])
    }

    @Test(
        "what has a slice for each layer and cannot follow is refused by name",
        arguments: [
            ("m.embed_tokens_per_layer.weight", [2, 9], "has no slice for each of 4 layers"),
            ("m.embed_tokens_per_layer.weight", [2, 12], "has slices of 3 per layer"),
            ("m.embed_tokens_per_layer.weight.absmax", [4, 1], "is part of 'embed_tokens_per_layer'"),
            ("m.per_layer_something.weight", [8, 3], "4 times 'hidden_size_per_layer_input'"),
        ])
    func refusedSlices(name: String, shape: [Int], message: String) throws {
        var model = try Models.counted(layers: 4, config: #"{"hidden_size_per_layer_input":2}"#)
        model.tensors.append(LayerTensorTests.numbered(name, shape))
        expectRefusal("tensor '\(name)'") { try CutLayers(layers: 1..<3).apply(to: model) }
        expectRefusal(message) { try CutLayers(layers: 1..<3).apply(to: model) }
    }

    @Test("columns that do not fall on blocks are refused")
    func blocks() throws {
        for (width, good) in [(16, false), (32, true)] {
            var model = try Models.gguf(
                "gemma3n", layers: 4, [("embedding_length_per_layer_input", .u32(UInt32(width)))])
            model.tensors.append(Models.zeros("per_layer_token_embd.weight", [3, 4 * width], .q8_0))
            let edit = CutLayers(layers: 1..<2)
            if good {
                let result = try edit.apply(to: model).tensor(named: "per_layer_token_embd.weight")
                #expect(result?.shape == [3, 3 * width])
                #expect(try Models.bytes(result).count == 3 * 3 * 34)
            } else {
                expectRefusal("tensor 'per_layer_token_embd.weight' is stored in blocks of 32") {
                    try edit.apply(to: model)
                }
            }
        }
    }

    @Test("weights that several layers use move when the layer that stores them is cut")
    func shared() throws {
        let hybrid = { (layer: Int) in ["m.layers.\(layer).linear.weight", "m.layers.\(layer).mamba.weight"] }
        let names =
            ["m.layers.0.mamba.weight"] + hybrid(1) + ["m.layers.1.shared_transf.w.weight", "m.layers.2.mamba.weight"]
            + hybrid(3) + hybrid(4)
        let config = #"{"num_hidden_layers":5,"layers_block_type":["m","h","m","h","h"]}"#
        let model = try Models.named(names, config: config)
        let result = try CutLayers(layers: 1..<2).apply(to: model)
        #expect(
            result.tensors.map(\.name) == [
                "m.layers.0.mamba.weight", "m.layers.2.shared_transf.w.weight", "m.layers.1.mamba.weight",
                "m.layers.2.linear.weight", "m.layers.2.mamba.weight", "m.layers.3.linear.weight",
                "m.layers.3.mamba.weight",
            ])
        // The layer that only uses them goes alone.
        #expect(try CutLayers(layers: 3..<4).apply(to: model).tensor(named: "m.layers.1.shared_transf.w.weight") != nil)
        expectRefusal("is shared by 3 layers, and only one would remain") {
            try CutLayers(layers: 3..<5).apply(to: model)
        }
        // Adapters are numbered by the layers that use them.
        let adapted = try Models.named(names + ["m.layers.1.shared_transf.adapter_list.0.w"], config: config)
        expectRefusal("'m.layers.1.shared_transf.w.weight' is used in turn by 3 layers") {
            try CutLayers(layers: 3..<4).apply(to: adapted)
        }
    }

    /// Inkling 2 keeps the queries of its layers in lists of their own; that of the attention begins with layer 1
    /// (`Inkling2IndexOffsetWeightRename` in transformers 5.24).
    @Test("lists outside the layers with a tensor for each follow")
    func listsOutside() throws {
        let layers = (0..<5).map { "model.layers.\($0).w" }
        let queries =
            (0..<4).map { "model.attn_res.attn_queries.\($0)" } + (0..<5).map { "model.attn_res.mlp_queries.\($0)" }
        func marked(_ name: String) -> Tensor { Models.zeros(name, [1, 1 + Int(String(name.last ?? "0"))!]) }
        var model = try Models.named(layers + queries, config: #"{"num_hidden_layers":5}"#)
        model.tensors = model.tensors.map { $0.name.hasSuffix("w") ? $0 : marked($0.name) }
        let result = try CutLayers(layers: 2..<4).apply(to: model)
        let found = result.tensors.filter { !$0.name.hasSuffix("w") }.map { "\($0.name) \($0.shape[1] - 1)" }
        #expect(
            found == [
                "model.attn_res.attn_queries.0 0", "model.attn_res.attn_queries.1 3", "model.attn_res.mlp_queries.0 0",
                "model.attn_res.mlp_queries.1 1", "model.attn_res.mlp_queries.2 4",
            ])
        expectRefusal("'model.attn_res.attn_queries.1' belongs to layer 2, which would become layer 0, which has none")
        {
            try CutLayers(layers: 0..<2).apply(to: model)
        }
        model.tensors.removeAll { $0.name == "model.attn_res.mlp_queries.4" }
        expectRefusal("'model.attn_res.mlp_queries.0' belongs to a list that has 4 tensors for 5 layers") {
            try CutLayers(layers: 2..<3).apply(to: model)
        }
    }

    @Test(
        "a list outside the layers whose length depends on theirs stops the cut",
        arguments: [
            ("model.gates", 5, true), ("model.gates", 7, true), ("model.gates", 2, true),
            ("model.gates", 4, false), ("model.altup_projections", 5, false), ("vision_tower.blocks", 6, false),
        ])
    func unknownList(prefix: String, length: Int, isRefused: Bool) throws {
        let names = (0..<6).map { "model.layers.\($0).w" } + (0..<length).map { "\(prefix).\($0).weight" }
        let config = #"{"num_hidden_layers":6,"n_layers_per_attn_res_block":3}"#
        let model = try Models.named(names, config: config)
        let edit = CutLayers(layers: 3..<6)
        if isRefused {
            expectRefusal("'\(prefix).0' belongs to a list that has \(length) tensors") { try edit.apply(to: model) }
        } else {
            #expect(try edit.apply(to: model).tensors.count == 3 + length)
        }
    }

    @Test("layers that are made otherwise need a setting that says which they are")
    func signatures() throws {
        let names = (0..<4).flatMap { layer in
            ["m.layers.\(layer).a.weight", layer == 0 ? "m.layers.0.mlp.weight" : "m.layers.\(layer).moe.weight"]
        }
        let unexplained = try Models.named(names, config: #"{"num_hidden_layers":4}"#)
        expectRefusal("has 'm.layers.0.mlp.weight' but not 'm.layers.1.mlp.weight'; no known setting states") {
            try CutLayers(layers: 2..<3).apply(to: unexplained)
        }
        for setting in [#""first_k_dense_replace":1"#, #""mlp_only_layers":[0]"#, #""layer_types":["d","s","s","s"]"#] {
            let model = try Models.named(names, config: #"{"num_hidden_layers":4,\#(setting)}"#)
            #expect(try CutLayers(layers: 2..<3).apply(to: model).layerCount == 3)
        }
        var shapes = try Models.counted(layers: 4, config: "{}")
        shapes.tensors[2] = Models.zeros("m.layers.1.w", [4, 8])
        expectRefusal("'m.layers.0.w' and 'm.layers.1.w' have different shapes") {
            try CutLayers(layers: 2..<3).apply(to: shapes)
        }
    }

    @Test("layers of which some modules are packed and others plain are made alike")
    func packed() throws {
        let plain = ["m.layers.0.q.weight", "m.layers.0.k.weight"]
        let packed = (1..<3).flatMap { layer in
            ["q", "k"].flatMap { ["m.layers.\(layer).\($0).weight_packed", "m.layers.\(layer).\($0).weight_scale"] }
        }
        let model = try Models.named(plain + packed, config: #"{"num_hidden_layers":3}"#)
        #expect(try CutLayers(layers: 1..<2).apply(to: model).layerCount == 2)
    }
}
