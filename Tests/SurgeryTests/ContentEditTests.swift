import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Edits of what is no language model: refused by name, or done as llama-quantize does them.
@Suite("edits of what is no model")
struct ContentEditTests {
    private static let floats = [UInt8](repeating: 0, count: 2 * 256 * 4)

    private static func open(_ pairs: [(key: String, value: GGUFBytes.Value)], _ names: [String]) throws -> Checkpoint {
        let file = GGUFBytes(pairs, names.map { .init($0, shape: [2, 256], data: floats) })
        let folder = TemporaryFolder()
        return try Checkpoint.open(folder.write("a.gguf", file.bytes))
    }

    private static func mixture(_ name: String) throws -> Quantize { Quantize(try #require(Mixture.named(name))) }

    @Test("control vectors are not cut, and they and adapters are not quantized or converted")
    func refused() throws {
        let adapter = try ContentEditTests.open(
            [
                ("general.architecture", .text("llama")), ("general.type", .text("adapter")),
                ("adapter.type", .text("lora")),
            ],
            ["blk.0.attn_q.weight.lora_a", "blk.1.attn_q.weight.lora_a"])
        let vector = try ContentEditTests.open(
            [("general.architecture", .text("controlvector"))], ["direction.1", "direction.2"])
        for (checkpoint, name) in [(adapter, "is a LoRA adapter"), (vector, "is a control vector")] {
            for edit: any Edit in [
                try ContentEditTests.mixture("Q8_0"), Convert(to: .gguf), Convert(to: .folder),
            ] {
                expectRefusal("\(name), not a model") { try edit.apply(to: checkpoint) }
            }
        }
        expectRefusal("is a control vector, not a model") { try CutLayers(layers: 0..<1).apply(to: vector) }
    }

    /// A projector as llama.cpp's converter names its tensors.
    private static func projector() throws -> Checkpoint {
        let layers = (0..<4).flatMap { ["v.blk.\($0).attn_q.weight", "v.blk.\($0).ffn_down.weight"] }
        return try open(
            [
                ("general.architecture", .text("clip")), ("clip.has_vision_encoder", .bool(true)),
                ("clip.vision.block_count", .u32(4)),
            ], ["v.patch_embd.weight", "v.position_embd.weight"] + layers + ["mm.0.weight"])
    }

    @Test("a projector is quantized, cast and written, and neither cut nor made a folder")
    func projectors() throws {
        let projector = try ContentEditTests.projector()
        for edit: any Edit in [CutLayers(layers: 1..<2), Convert(to: .folder), Convert(to: .safetensors)] {
            expectRefusal("is an encoder and projector of images (mmproj), not a language model") {
                try edit.apply(to: projector)
            }
        }
        let cast = try Convert(to: .gguf, dtype: .bf16).apply(to: projector)
        #expect(cast.tensor(named: "v.blk.1.attn_q.weight")?.dtype == .bf16)
        let folder = TemporaryFolder()
        try CheckpointWriter(threads: 1).write(OutputPlan(cast, shardByteCount: 1000), to: folder("x.gguf"))
        #expect(try Checkpoint.open(folder("x-00001-of-00011.gguf")).content == projector.content)
    }

    /// llama-quantize of llama.cpp gives these types to a file of this architecture and these names.
    @Test("types are those of llama-quantize, which knows no layers of a projector")
    func types() throws {
        let result = try ContentEditTests.mixture("Q4_K_M").apply(to: ContentEditTests.projector())
        let types = Dictionary(uniqueKeysWithValues: result.tensors.map { ($0.name, $0.dtype.name) })
        for layer in 0..<4 {
            #expect(types["v.blk.\(layer).ffn_down.weight"] == "Q6_K")
            #expect(types["v.blk.\(layer).attn_q.weight"] == "Q4_K")
        }
        #expect(types["v.patch_embd.weight"] == "F32" && types["v.position_embd.weight"] == "F32")
    }
}
