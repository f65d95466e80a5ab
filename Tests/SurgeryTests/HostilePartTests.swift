import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Packed folders whose parts lie, are missing, or do not fit together.
@Suite("hostile parts")
struct HostilePartTests {
    struct Case: Sendable, CustomStringConvertible {
        let type: FolderType
        let what: String
        let message: String
        let change: @Sendable (inout Checkpoint) -> Void

        var description: String { "\(type): \(what)" }
    }

    private static func without(_ ending: String) -> @Sendable (inout Checkpoint) -> Void {
        { checkpoint in checkpoint.tensors.removeAll { $0.name.hasSuffix(ending) } }
    }

    private static func replacing(
        _ ending: String, _ dtype: DType, _ shape: [Int]
    ) -> @Sendable (inout Checkpoint) -> Void {
        { checkpoint in
            for index in checkpoint.tensors.indices where checkpoint.tensors[index].name.hasSuffix(ending) {
                checkpoint.tensors[index] = Models.zeros(checkpoint.tensors[index].name, shape, dtype)
            }
        }
    }

    private static func setting(_ key: String, _ value: JSON) -> @Sendable (inout Checkpoint) -> Void {
        { checkpoint in
            for name in ["quantization_config", "quantization"] {
                guard var settings = checkpoint.config?[name]?.object else { continue }
                settings[key] = value
                checkpoint.config?[name] = .object(settings)
            }
        }
    }

    private static let i32 = DType(named: "I32") ?? .f32
    private static let i64 = DType(named: "I64") ?? .f32

    static let cases: [Case] = [
        Case(type: .w4a16, what: "no scales", message: "is missing", change: without(".weight_scale")),
        Case(type: .w4a16, what: "no shape", message: "is missing", change: without(".weight_shape")),
        Case(
            type: .w4a16, what: "no codes", message: "is part of a weight in compressed-tensors format whose",
            change: without(".weight_packed")),
        Case(
            type: .w4a16, what: "a shape of zeros",
            message: "has the value [0, 0], but the quantized weight has the shape [16, 8]",
            change: replacing(".weight_shape", i64, [2])),
        Case(
            type: .w4a16, what: "codes of another type", message: "has the type F16",
            change: replacing(".weight_packed", .f16, [16, 8])),
        Case(
            type: .w4a16, what: "no groups", message: "has the shape [16, 0]",
            change: replacing(".weight_scale", .f16, [16, 0])),
        Case(
            type: .w4a16, what: "scales of other rows", message: "has the shape [15, 2]; the weight has 16 rows of 64",
            change: replacing(".weight_scale", .f16, [15, 2])),
        Case(
            type: .w4a16, what: "other groups than the configuration", message: "has groups of 64",
            change: replacing(".weight_scale", .f16, [16, 1])),
        Case(
            type: .w4a16, what: "offsets in a symmetric folder", message: "the configuration is symmetric",
            change: { $0.tensors.append(Models.zeros(KnownForm.module + ".weight_zero_point", [2, 2], i32)) }),
        Case(
            type: .w4a16, what: "an order with a group that is not there", message: "assigns column 0 to group",
            change: { checkpoint in
                var tensor = Models.zeros(KnownForm.module + ".weight_g_idx", [64], i32)
                tensor.recipe = .computed(Ones())
                checkpoint.tensors.append(tensor)
            }),
        Case(
            type: .w4a16, what: "a plain weight too",
            message: "is present both unquantized and in compressed-tensors format",
            change: { $0.tensors.append(Models.zeros(KnownForm.module + ".weight", [16, 64])) }),
        Case(
            type: .w4a16, what: "another format", message: "'marlin-24'",
            change: setting("format", .string("marlin-24"))),
        Case(
            type: .w4a16, what: "no groups in the configuration", message: "no config_groups",
            change: setting("config_groups", .object(JSONObject()))),
        Case(
            type: .w4a16, what: "an unknown method", message: "is quantized with eetq",
            change: setting("quant_method", .string("eetq"))),
        Case(
            type: .w4a16, what: "no method", message: "without a quant_method", change: setting("quant_method", .null)),
        Case(type: .gptq, what: "no offsets", message: "is missing", change: without(".qzeros")),
        Case(
            type: .gptq, what: "three dimensions", message: "a quantized weight must be a matrix",
            change: replacing(".qweight", i32, [2, 8, 16])),
        Case(
            type: .gptq, what: "scales that do not fit", message: "the other tensors of the weight require [2, 16]",
            change: replacing(".scales", .f16, [4, 16])),
        Case(
            type: .gptq, what: "an order that does not fit", message: "require [64]",
            change: replacing(".g_idx", i32, [63])),
        Case(
            type: .gptq, what: "groups that do not divide", message: "are not a multiple of the group size 48",
            change: setting("group_size", .int(48))),
        Case(type: .gptq, what: "a group of 0", message: "group_size of 0", change: setting("group_size", .int(0))),
        Case(type: .gptq, what: "3 bits", message: "3 bits", change: setting("bits", .int(3))),
        Case(
            type: .gptq, what: "another layout", message: "'marlin'",
            change: setting("checkpoint_format", .string("marlin"))),
        Case(
            type: .gptq, what: "settings for some modules", message: "other settings for the modules",
            change: setting("dynamic", .object(JSONObject([(".*up_proj.*", .object(JSONObject()))])))),
        Case(
            type: .awq, what: "offsets that do not fit", message: "require [2, 2]",
            change: replacing(".qzeros", i32, [2, 1])),
        Case(type: .awq, what: "another layout", message: "'gemv'", change: setting("version", .string("gemv"))),
        Case(type: .awq, what: "8 bits", message: "8 bits", change: setting("bits", .int(8))),
        Case(type: .mlx4, what: "no biases", message: "is missing", change: without(".biases")),
        Case(
            type: .mlx4, what: "biases of another type",
            message: "has the type F16; this part of a quantized weight is F32",
            change: replacing(".biases", .f16, [16, 2])),
        Case(type: .mlx4, what: "6 bits", message: "6 bits", change: setting("bits", .int(6))),
        Case(type: .mlx4, what: "another mode", message: "'mxfp8'", change: setting("mode", .string("mxfp8"))),
        Case(
            type: .mlx4, what: "other groups for a module", message: "require [16, 1]",
            change: setting(KnownForm.module, .object(JSONObject([("group_size", .int(64))])))),
    ]

    /// Bytes of 1.
    private struct Ones: RowSource {
        var description: String { "ones" }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            output.initializeMemory(as: UInt8.self, repeating: 1)
        }
    }

    @Test("what does not fit is refused", arguments: cases)
    func refused(known: Case) throws {
        let weight = try #require(
            KnownForm.all.first { $0.type == known.type && $0.weight?.shape == [16, 64] }?.weight
                ?? KnownForm.all.first?.values)
        var settings = FolderQuantizationSettings()
        settings.groupSize = 32
        let rows = Models.zeros(weight.name, [16, 64], .f32)
        var checkpoint = try QuantizeFolder(known.type, settings: settings).apply(to: KnownForm.folder(rows))
        known.change(&checkpoint)
        let changed = checkpoint
        expectRefusal(known.message) { try DequantizeFolder().apply(to: changed) }
    }

    @Test("a weight that is not finite is named when its rows are computed", arguments: KnownForm.types)
    func notFinite(type: FolderType) throws {
        var weight = Models.zeros("w", [16, 128], .f32)
        weight.recipe = .computed(OneNaN())
        let packed = try QuantizeFolder(type).apply(to: KnownForm.folder(weight))
        for tensor in packed.tensors where tensor.shape.count == 2 {
            do throws(CheckpointError) {
                _ = try tensor.withBytes(rows: 0..<tensor.rowCount) { $0.count }
                Issue.record("\(tensor.name) was computed")
            } catch {
                #expect(error.description.contains("has the value nan in row 3, column 7"))
                #expect(error.tensor == KnownForm.module + ".weight")
            }
        }
    }

    private struct OneNaN: RowSource {
        var description: String { "one NaN" }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            let values = output.bindMemory(to: Float.self)
            for (index, row) in rows.enumerated() {
                for column in 0..<128 { values[index * 128 + column] = row == 3 && column == 7 ? .nan : 0.5 }
            }
        }
    }

    @Test("settings that are not possible are refused")
    func settings() throws {
        var settings = FolderQuantizationSettings()
        settings.groupSize = 48
        let chosen = settings
        expectRefusal("W4A16 has no group size 48") {
            try QuantizeFolder(.w4a16, settings: chosen).apply(to: Models.fixture())
        }
        expectRefusal("has no weight that AWQ can quantize") {
            try QuantizeFolder(.awq).apply(to: KnownForm.folder(Models.zeros("w", [12, 128])))
        }
        expectRefusal("would stay unquantized, which GPTQ's configuration cannot express") {
            var checkpoint = try Models.fixture()
            checkpoint.tensors.append(Models.zeros("model.layers.0.mlp.gate.weight", [4, 256]))
            return try QuantizeFolder(.gptq).apply(to: checkpoint)
        }
    }
}
