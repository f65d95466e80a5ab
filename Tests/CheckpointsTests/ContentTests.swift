import Checkpoints
import TestSupport
import Testing

@Suite("what is no model")
struct ContentTests {
    private static func gguf(_ pairs: [(key: String, value: GGUFBytes.Value)]) throws -> Checkpoint {
        let file = GGUFBytes(pairs, [.init("blk.0.attn_q.weight.lora_a", shape: [1], data: littleEndian([Float(1)]))])
        let folder = TemporaryFolder()
        return try Checkpoint.open(folder.write("a.gguf", file.bytes))
    }

    @Test(
        "GGUF files say what they hold",
        arguments: [
            ([("general.architecture", "llama"), ("general.type", "model")], "a model"),
            ([("general.architecture", "llama")], "a model"),
            (
                [("general.architecture", "llama"), ("general.type", "adapter"), ("adapter.type", "lora")],
                "a LoRA adapter"
            ),
            ([("general.architecture", "llama"), ("adapter.type", "lora")], "a LoRA adapter"),
            ([("general.architecture", "llama"), ("general.type", "adapter")], "an adapter"),
            ([("general.architecture", "controlvector")], "a control vector"),
            ([("general.type", "imatrix")], "an importance matrix"),
            ([("general.architecture", "clip")], "an encoder and projector of images (mmproj)"),
        ])
    func named(pairs: [(String, String)], name: String) throws {
        #expect(try ContentTests.gguf(pairs.map { ($0.0, .text($0.1)) }).content.name == name)
    }

    @Test("a projector says what it encodes")
    func projectors() throws {
        let clip: [(key: String, value: GGUFBytes.Value)] = [("general.architecture", .text("clip"))]
        let hears = try ContentTests.gguf(clip + [("clip.has_audio_encoder", .bool(true))])
        #expect(hears.content == .projector(of: "sound"))
        let both = try ContentTests.gguf(
            clip + [("clip.has_audio_encoder", .bool(true)), ("clip.has_vision_encoder", .bool(true))])
        #expect(both.content == .projector(of: "images and sound"))
    }

    @Test("a folder with an adapter alone is one, with the name of its base")
    func folder() throws {
        let folder = TemporaryFolder()
        folder.write(
            "adapter_model.safetensors", SafetensorsBytes([("base_model.q.lora_A.weight", "U8", [1], [1])]).bytes)
        #expect(try Checkpoint.open(folder.path).content == .adapter(kind: "lora", base: nil))
        folder.write("adapter_config.json", #"{"peft_type":"LORA","base_model_name_or_path":"example/base"}"#)
        folder.write("config.json", "{}")
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.content == .adapter(kind: "lora", base: "example/base"))
        let error = #expect(throws: CheckpointError.self) { try checkpoint.requireModel() }
        expect(error, "is a LoRA adapter, not a model")
        #expect(error?.hint == "merge it into its base 'example/base' first, and name the result")
        folder.write("adapter_config.json", #"{"peft_type":"IA3"}"#)
        #expect(try Checkpoint.open(folder.path).content == .adapter(kind: "ia3", base: nil))
        #expect(try Checkpoint.open(folder("adapter_model.safetensors")).content == .adapter(kind: "lora", base: nil))
    }
}
