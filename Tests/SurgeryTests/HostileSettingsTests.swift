import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Settings that no model has must end in a result or in an error, and never in a trap.
@Suite("settings that no model has")
struct HostileSettingsTests {
    /// What is done to a checkpoint; nothing of it reads a weight.
    private static func edit(_ checkpoint: Checkpoint) throws {
        let mixture = try #require(Mixture.named("Q4_K_M"))
        let edits: [[any Edit]] = [
            [CutLayers(layers: 2..<4)], [CutLayers(layers: 0..<1), CutLayers(layers: 10..<11)], [Cast(to: .f16)],
            [Convert(to: .gguf), Quantize(mixture)], [Convert(to: .folder)], [Convert(to: .safetensors)],
        ]
        for edits in edits {
            tolerate {
                let result = try checkpoint.applying(edits)
                _ = try OutputPlan(result).byteCount
                try result.checkConsistency()
            }
        }
        tolerate { _ = try Vocabulary(checkpoint: checkpoint) }
        tolerate {
            _ = try ModelPlan(checkpoint).rotary?.angles(contextLength: 1)
        }
    }

    /// Lets an error be one of a checkpoint.
    private static func tolerate(_ body: () throws -> Void) {
        do { try body() } catch { #expect(error is CheckpointError) }
    }

    static let configKeys = (try? Models.small().config?.keys) ?? []

    @Test("in config.json", arguments: configKeys + ["rope_parameters", "num_nextn_predict_layers", "sliding_window"])
    func config(key: String) throws {
        let values = [
            "null", "true", "0", "-1", "3", "12", "2147483648", "4294967296", "9223372036854775807",
            "-9223372036854775808", "1e400", "-0.0", "\"\"", "\"text\"", "[]", "[1,2,3,4,5,6,7,8,9,10,11,12]", "{}",
            #"{"rope_type":"yarn","factor":1e300,"original_max_position_embeddings":1e300}"#,
            #"{"rope_type":"llama3","factor":1e300,"low_freq_factor":1e-300,"high_freq_factor":1e-300,"original_max_position_embeddings":1e300}"#,
            #"{"rope_type":"linear","factor":1e-320,"rope_theta":1e-320}"#,
        ]
        let original = try Models.small()
        for value in values {
            var model = original
            model.config?[key] = try JSON.parse(value)
            try HostileSettingsTests.edit(model)
        }
    }

    static let metadataKeys =
        (try? Convert(to: .gguf).apply(to: Models.small()).metadata.pairs.map(\.key)) ?? []

    @Test(
        "in GGUF metadata",
        arguments: metadataKeys + [
            "general.alignment", "llama.rope.scaling.type", "llama.rope.scaling.factor", "llama.expert_count",
            "llama.leading_dense_block_count", "llama.attention.shared_kv_layers",
            "llama.attention.sliding_window_pattern",
        ])
    func metadata(key: String) throws {
        let numbers = (0..<12).map { GGUFValue.u32($0) }
        let values: [GGUFValue?] = [
            nil, .u8(0), .i8(-1), .u32(3), .u32(.max), .i32(.min), .u64(.max), .u64(1 << 63 - 1), .i64(.min),
            .f32(.nan),
            .f32(.infinity), .f64(-1e300), .f32(0), .bool(true), .string(""), .string("yarn"), .string("\u{0}"),
            .array(elementType: 4, []), .array(elementType: 4, numbers), .strings(["a"]),
        ]
        var model = try Convert(to: .gguf).apply(to: Models.small())
        if key.hasPrefix("llama.rope.scaling.") {
            model.metadata["llama.rope.scaling.type"] = .string("yarn")
            model.metadata["llama.rope.scaling.factor"] = .f32(2)
        }
        for value in values {
            // An alignment is checked when a file is read; after that it is trusted.
            if key == "general.alignment", value?.int.map({ $0 < 1 || $0.nonzeroBitCount != 1 }) ?? true { continue }
            model.metadata[key] = value
            try HostileSettingsTests.edit(model)
        }
    }

    @Test("20,000 layers take no quadratic time")
    func manyLayers() throws {
        var model = try Models.gguf("llama", layers: 20_000)
        model.tensors += (0..<20_000).map { Models.zeros("blk.\($0).attn_v.weight", [32, 32]) }
        let time = try ContinuousClock().measure { try HostileSettingsTests.edit(model) }
        #expect(time < .seconds(20))
    }

    @Test(
        "shapes that no projection has",
        arguments: [
            [], [0], [1], [0, 0], [1, 1], [3, 5], [0, 256], [256, 0], [2, 2, 2], [1, 1, 1, 256], [7, 256], [256, 32],
        ])
    func shapes(shape: [Int]) throws {
        let folder = try Models.small()
        let gguf = try Convert(to: .gguf).apply(to: folder)
        for model in [folder, gguf] {
            for index in [0, 1, 2, 3, 5, 9, model.tensors.count - 1] {
                var changed = model
                changed.tensors[index] = Models.zeros(model.tensors[index].name, shape)
                try HostileSettingsTests.edit(changed)
                HostileSettingsTests.tolerate {
                    let form: Checkpoint.Form = model.form == .gguf ? .folder : .gguf
                    for tensor in try Convert(to: form).apply(to: changed).tensors.prefix(12) {
                        _ = try Models.bytes(tensor)
                    }
                }
            }
        }
    }
}
