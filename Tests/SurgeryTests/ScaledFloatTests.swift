import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Weights of F8_E4M3 under scales, in the layouts of the quantizers. The codes are 1, 2, -1, 0.5, 4, -2, 0.25 and 8.
@Suite("weights of FP8")
struct ScaledFloatTests {
    private static let codes: [UInt8] = [0x38, 0x40, 0xB8, 0x30, 0x48, 0xC0, 0x28, 0x50]
    private static let module = "model.layers.0.mlp.up_proj"

    private static func tensor(_ name: String, _ dtype: DType, _ shape: [Int], _ bytes: [UInt8]) -> Tensor {
        Tensor(name: name, dtype: dtype, shape: shape, recipe: .computed(BadFloatForm.Bytes(bytes: bytes)))
    }

    private static func floats(_ name: String, _ shape: [Int], _ values: [Float]) -> Tensor {
        tensor(
            name, .f32, shape,
            values.flatMap { value in withUnsafeBytes(of: value.bitPattern.littleEndian) { Array($0) } })
    }

    /// A folder with one weight [2, 4] and the scale of a name.
    private static func folder(
        scale: String, shape: [Int], _ values: [Float], method: String, _ settings: [(String, JSON)] = []
    ) throws -> Checkpoint {
        let e4m3 = try #require(DType(named: "F8_E4M3"))
        var folder = try Models.folder(layers: 0, config: #"{"dtype": "float32"}"#)
        folder.tensors = [
            tensor(module + ".weight", e4m3, [2, 4], codes), floats(module + "." + scale, shape, values),
        ]
        folder.config?["quantization_config"] = .object(
            JSONObject([("quant_method", .string(method))] + settings))
        return folder
    }

    private func expect(_ folder: Checkpoint, _ values: [Float]) throws {
        let plain = try DequantizeFolder(to: .f32).apply(to: folder)
        #expect(plain.tensors.map(\.name) == [ScaledFloatTests.module + ".weight"])
        #expect(try Models.floats(plain.tensors.first) == values)
        #expect(plain.config?["quantization_config"] == nil)
    }

    @Test(
        "one scale for the weight is read under every name",
        arguments: [
            ("fp8", "weight_scale"), ("fp8", "scale_weight"), ("fp8", "weight_scale_inv"),
            ("fbgemm_fp8", "weight_scale"),
        ],
        [[], [1], [1, 1]])
    func tensor(name: (method: String, scale: String), shape: [Int]) throws {
        try expect(
            ScaledFloatTests.folder(scale: name.scale, shape: shape, [0.5], method: name.method),
            [0.5, 1, -0.5, 0.25, 2, -1, 0.125, 4])
    }

    @Test("static activations change no weight, and their scales are left out with a note")
    func activations() throws {
        var folder = try ScaledFloatTests.folder(
            scale: "weight_scale", shape: [1], [0.5], method: "fp8", [("activation_scheme", .string("static"))])
        for (name, shape) in [
            ("mlp.up_proj.input_scale", []), ("self_attn.k_scale", []), ("self_attn.v_scale", [1]),
            ("self_attn.kv_scale", [1]), ("mlp.down_proj.act_scale", [1]), ("self_attn.k_proj.output_scale", []),
            ("self_attn.v_proj.output_scale", [1]),
        ] as [(String, [Int])] {
            folder.tensors.append(ScaledFloatTests.floats("model.layers.0." + name, shape, [0.02]))
        }
        try expect(folder, [0.5, 1, -0.5, 0.25, 2, -1, 0.125, 4])
        let notes = try Convert(to: .folder, dtype: .bf16).apply(to: folder).notes
        #expect(
            notes == [
                "1 input_scale, 1 k_scale, 1 v_scale, 1 kv_scale, 1 act_scale, 2 output_scale removed: scales of "
                    + "activations or of the cache, which unquantized weights do not use"
            ])
        // A copy keeps them.
        #expect(try Convert(to: .folder).apply(to: folder).tensors.count == 9)
    }

    @Test(
        "a scale for each row is read", arguments: ["weight_scale", "weight_scale_inv", "scale_weight"], [[2], [2, 1]])
    func rows(scale: String, shape: [Int]) throws {
        try expect(
            ScaledFloatTests.folder(scale: scale, shape: shape, [0.5, 2], method: "fp8"),
            [0.5, 1, -0.5, 0.25, 8, -4, 0.5, 16])
    }

    @Test("a scale for each block is read under both names", arguments: ["weight_scale", "weight_scale_inv"])
    func blocks(scale: String) throws {
        let block: [(String, JSON)] = [("weight_block_size", .array([.int(1), .int(3)]))]
        try expect(
            ScaledFloatTests.folder(scale: scale, shape: [2, 2], [0.5, 2, 1, 4], method: "fp8", block),
            [0.5, 1, -0.5, 1, 4, -2, 0.25, 32])
        let folder = try ScaledFloatTests.folder(scale: scale, shape: [2, 2], [0.5, 2, 1, 4], method: "fp8")
        expectRefusal("has the shape [2, 2], but the weight has 2 rows of 4") {
            try DequantizeFolder().apply(to: folder)
        }
    }

    @Test("a weight of eight bits without its scale is refused")
    func noScale() throws {
        var folder = try ScaledFloatTests.folder(scale: "weight_scale", shape: [], [0.5], method: "fp8")
        folder.tensors.removeLast()
        expectRefusal("is F8_E4M3 [2, 4], but the FP8 settings do not cover it") {
            try DequantizeFolder().apply(to: folder)
        }
    }

    @Test("codes of bitsandbytes stored as floats are the same codes", arguments: ["F16", "BF16", "F32"])
    func storage(type: String) throws {
        let dtype = try #require(DType(named: type))
        for name in ["nf4", "nf4-nested", "fp4"] {
            var folder = try FloatForm(name: name).folder()
            for (index, tensor) in folder.tensors.enumerated()
            where tensor.dtype.name == "U8" && tensor.name.hasSuffix(".weight") {
                folder.tensors[index] = ScaledFloatTests.tensor(
                    tensor.name, dtype, [tensor.byteCount / dtype.blockByteCount, 1], try Models.bytes(tensor))
            }
            folder.config?["quantization_config"] = .object(
                JSONObject([("quant_method", .string("bitsandbytes")), ("load_in_4bit", .bool(true))]))
            let plain = try DequantizeFolder(to: .f32).apply(to: folder)
            for answer in try Checkpoint.open(Fixture.path("floats/\(name).safetensors")).tensors {
                let tensor = try #require(plain.tensor(named: answer.name))
                let values = try Models.floats(tensor)
                #expect(try values == Models.floats(answer), "\(answer.name)")
                let row = tensor.rowLength, part = try tensor.withBytes(rows: 5..<8) { [UInt8]($0) }
                #expect(try part == Array(Models.bytes(tensor)[4 * 5 * row..<4 * 8 * row]))
            }
        }
    }
}
