import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// A folder of fixtures/floats with something wrong in it, and what has to be said about that.
struct BadFloatForm: Sendable, CustomStringConvertible {
    let form: String
    let problem: String
    let message: String
    let spoil: @Sendable (inout Checkpoint) -> Void

    var description: String { "\(form): \(problem)" }

    init(_ form: String, _ problem: String, _ message: String, _ spoil: @escaping @Sendable (inout Checkpoint) -> Void)
    {
        self.form = form
        self.problem = problem
        self.message = message
        self.spoil = spoil
    }

    /// Bytes that were never in a file.
    struct Bytes: RowSource {
        let bytes: [UInt8]
        var description: String { "bytes" }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            let size = output.count / max(1, rows.count)
            output.copyBytes(from: bytes[rows.lowerBound * size..<rows.upperBound * size])
        }
    }

    static let module = "model.layers.0.mlp.up_proj"

    /// Puts a tensor in the place of a part, or behind all when there is no such part.
    static func put(_ part: String, _ dtype: String, _ shape: [Int], _ bytes: [UInt8]? = nil)
        -> @Sendable (
            inout Checkpoint
        ) -> Void
    {
        { checkpoint in
            guard let dtype = DType(named: dtype), let count = dtype.byteCount(of: shape.reduce(1, *)) else { return }
            let bytes = Bytes(bytes: bytes ?? [UInt8](repeating: 1, count: count))
            let tensor = Tensor(name: module + part, dtype: dtype, shape: shape, recipe: .computed(bytes))
            if let index = checkpoint.tensors.firstIndex(where: { $0.name == tensor.name }) {
                checkpoint.tensors[index] = tensor
            } else {
                checkpoint.tensors.append(tensor)
            }
        }
    }

    static func drop(_ part: String) -> @Sendable (inout Checkpoint) -> Void {
        { $0.tensors.removeAll { $0.name == module + part } }
    }

    /// Puts a text in the place of the state of a module of bitsandbytes.
    static func state(_ text: String) -> @Sendable (inout Checkpoint) -> Void {
        put(".weight.quant_state.bitsandbytes__nf4", "U8", [text.utf8.count], Array(text.utf8))
    }

    static func set(_ key: String, _ value: JSON?) -> @Sendable (inout Checkpoint) -> Void {
        { checkpoint in
            var settings = checkpoint.config?["quantization_config"]?.object
            settings?[key] = value
            checkpoint.config?["quantization_config"] = settings.map(JSON.object)
        }
    }

    static let states: [BadFloatForm] = [
        ("no JSON", "nf4", "is not a JSON object"), ("[1]", "nf4", "is not a JSON object"),
        (#"{"quant_type": "fp4"}"#, "nf4", "has the quant_type 'fp4', which differs from the tensor's name"),
        (#"{"quant_type": "nf4", "blocksize": 65}"#, "nf4", "has the blocksize 65; bitsandbytes has 32, 64"),
        (
            #"{"quant_type": "nf4", "blocksize": 64, "dtype": "int8"}"#, "nf4",
            "has the dtype 'int8'; bitsandbytes has float32"
        ),
        (
            #"{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [2048]}"#, "nf4",
            "has the shape [2048]; a weight is a matrix"
        ),
        (
            #"{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [-2, -1024]}"#, "nf4",
            "has the shape [-2, -1024]"
        ),
        (
            #"{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [4294967296, 4294967296]}"#, "nf4",
            "has the shape [4294967296, 4294967296]"
        ),
        (
            #"{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [32, 65]}"#, "nf4",
            "[1024, 1]; the other tensors of the weight require [1040, 1]"
        ),
        (
            #"{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [32, 64], "nested_blocksize": 256}"#,
            "nf4", "has the nested_blocksize 256 and no finite nested_offset"
        ),
        (
            #"{"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [32, 64], "nested_blocksize": 256, "#
                + #""nested_offset": 1}"#,
            "nf4", "has the type F32; this part of a quantized weight is U8"
        ),
        (
            #"{"quant_type": "nf4", "blocksize": 32, "dtype": "bfloat16", "shape": [32, 64]}"#, "nf4-nested",
            "is present, but the quantization state of the weight has no nested blocks"
        ),
    ].map { text, form, message in BadFloatForm(form, text, message, state(text)) }

    static let parts: [BadFloatForm] = [
        .init("nf4", "no scales", "whose '\(module).weight.absmax' is missing", drop(".weight.absmax")),
        .init("nf4", "no codes", "up_proj.weight' is missing", drop(".weight")),
        .init(
            "nf4", "no state", "has 0 quantization states", drop(".weight.quant_state.bitsandbytes__nf4")),
        .init(
            "nf4", "two states", "has 2 quantization states",
            put(".weight.quant_state.bitsandbytes__fp4", "U8", [2], Array("{}".utf8))),
        .init(
            "nf4", "a state of many bytes", "has 70,000 bytes; a state has at most 65,536",
            put(".weight.quant_state.bitsandbytes__nf4", "U8", [70000])),
        .init("nf4", "codes of another type", "has the type I8", put(".weight", "I8", [1024, 1])),
        .init(
            "nf4", "too many bytes in another type",
            "has the shape [1024, 1]; the other tensors of the weight require [512, 1]",
            put(".weight", "BF16", [1024, 1])),
        .init(
            "nf4", "a scale too few", "has the shape [31]; the other tensors of the weight require [32]",
            put(".weight.absmax", "F32", [31])),
        .init("nf4", "another map", "for code 0; nf4 has -1.0", put(".weight.quant_map", "F32", [16])),
        .init(
            "nf4-nested", "a nested map too short", "has the shape [255]",
            put(".weight.nested_quant_map", "F32", [255])),
        .init("nf4-nested", "no nested scales", "nested_absmax' is missing", drop(".weight.nested_absmax")),
        .init(
            "nf4", "eight bits", "eight bits by bitsandbytes (LLM.int8), which resect does not read",
            set("load_in_4bit", .bool(false))),
        .init("nvfp4", "no scales", "weight_scale' is missing", drop(".weight_scale")),
        .init(
            "nvfp4", "codes missing", "whose '\(module).weight_packed' is missing", drop(".weight_packed")),
        .init("nvfp4", "no global scale", "weight_global_scale' is missing", drop(".weight_global_scale")),
        .init(
            "nvfp4", "a global scale of zero", "is 0.0 in 1 values; the scale of a weight is one positive number",
            put(".weight_global_scale", "F32", [1], [0, 0, 0, 0])),
        .init(
            "nvfp4", "a global scale of NaN", "is nan in 1 values",
            put(".weight_global_scale", "F32", [1], [0, 0, 0xC0, 0x7F])),
        .init(
            "nvfp4", "no number at all", "is 0.0 in 0 values", put(".weight_global_scale", "F32", [0], [])),
        .init(
            "nvfp4", "scales of another type", "has the type F32; this part of a quantized weight is F8_E4M3",
            put(".weight_scale", "F32", [32, 4])),
        .init(
            "nvfp4", "scales for other groups",
            "has the shape [32, 8]; the other tensors of the weight require [32, 4]",
            put(".weight_scale", "F8_E4M3", [32, 8])),
        .init(
            "nvfp4", "rows that are no groups", "has rows of 66 codes, which are not a multiple of the group size 16",
            put(".weight_packed", "U8", [32, 33])),
        .init(
            "nvfp4", "codes in three dimensions", "has the shape [32, 32, 1]; a quantized weight must be a matrix",
            put(".weight_packed", "U8", [32, 32, 1])),
        .init(
            "nvfp4", "the weight too", "is present both unquantized and in NVFP4 format",
            put(".weight", "BF16", [32, 64])),
        .init(
            "mxfp4", "groups of 16", "which are not a multiple of the group size 32",
            put(".weight_packed", "U8", [32, 8])),
        .init(
            "mlx-mxfp4", "codes in bytes", "has the type U8; this part of a quantized weight is U32",
            put(".weight", "U8", [32, 32])),
        .init(
            "mlx-mxfp4", "scales for other groups",
            "has the shape [32, 4]; the other tensors of the weight require [32, 2]",
            put(".scales", "U8", [32, 4])),
        .init("modelopt", "no second scale", "weight_scale_2' is missing", drop(".weight_scale_2")),
        .init(
            "modelopt", "another algorithm", "names the quant_algo 'W4A8_AWQ' of modelopt, which resect does not read",
            set("quant_algo", .string("W4A8_AWQ"))),
        .init(
            "fp8-channel", "a scale too few", "has the shape [31, 1], but the weight has 32 rows of 64",
            put(".weight_scale", "BF16", [31, 1])),
        .init(
            "fp8-channel", "integers", "has the type I8; this part of a quantized weight is F8_E4M3",
            put(".weight", "I8", [32, 64])),
        .init(
            "fp8-deepseek", "scales for other blocks",
            "has the shape [3, 2], but the weight has 32 rows of 64; its blocks are 16x32",
            put(".weight_scale_inv", "F32", [3, 2])),
        .init(
            "fp8-deepseek", "blocks of nothing", "has the block size [0, 32]; a block has rows and columns",
            set("weight_block_size", .array([.int(0), .int(32)]))),
        .init(
            "fp8-deepseek", "a method that is not read", "is quantized with mxfp4, which resect does not read",
            set("quant_method", .string("mxfp4"))),
    ]
}

@Suite("hostile parts of forms whose codes are floats")
struct HostileFloatFormTests {
    @Test("parts that do not fit are refused", arguments: BadFloatForm.parts + BadFloatForm.states)
    func refused(bad: BadFloatForm) throws {
        var checkpoint = try FloatForm(name: bad.form).folder()
        bad.spoil(&checkpoint)
        expectRefusal(bad.message) { try DequantizeFolder(to: .f32).apply(to: checkpoint) }
    }

    @Test("scales that are no numbers make values that are none, and no crash", arguments: FloatForm.all)
    func anyBytes(form: FloatForm) throws {
        var checkpoint = try form.folder()
        var generator = SeededGenerator(seed: 41)
        for (index, tensor) in checkpoint.tensors.enumerated() where tensor.shape.count > 0 {
            let known = ["quant_map", "quant_state", "_global_scale", "_scale_2", "input_scale"]
            guard !known.contains(where: tensor.name.contains) else { continue }
            checkpoint.tensors[index] = Tensor(
                name: tensor.name, dtype: tensor.dtype, shape: tensor.shape,
                recipe: .computed(BadFloatForm.Bytes(bytes: generator.bytes(tensor.byteCount))))
        }
        for tensor in try DequantizeFolder(to: .bf16).apply(to: checkpoint).tensors {
            #expect(try Models.bytes(tensor).count == tensor.byteCount)
        }
    }

    @Test("the scale beside a weight of GGUF is one positive number")
    func scaleBeside() throws {
        let packed = try QuantizeFolder(.nvfp4).apply(to: Models.small())
        var gguf = try Convert(to: .gguf, keepsBlocks: true).apply(to: packed)
        let index = try #require(gguf.tensors.firstIndex { $0.name == "blk.0.ffn_up.scale" })
        for (bytes, message) in [
            ([0, 0, 0x80, 0xFF], "is -inf; the scale of a weight must be positive"),
            ([0, 0, 0, 0, 0, 0, 0, 0], "has the type F32 and 2 values; the scale of a weight is a single F32"),
        ] as [([UInt8], String)] {
            gguf.tensors[index] = Tensor(
                name: "blk.0.ffn_up.scale", dtype: .f32, shape: [bytes.count / 4],
                recipe: .computed(BadFloatForm.Bytes(bytes: bytes)))
            expectRefusal(message) { try DequantizeFolder().apply(to: gguf) }
        }
    }
}
