import Checkpoints
import TestSupport
import Testing

@Suite("folders of adapters")
struct AdapterFolderTests {
    /// A folder with an adapter under the file name of PEFT or of mlx-lm, with a settings file beside it.
    private static func folder(_ weights: String, tensors: [String], others: [String] = []) -> TemporaryFolder {
        let folder = TemporaryFolder()
        folder.makeFolder("a")
        let bytes = SafetensorsBytes(tensors.map { ($0, "U8", [2, 1], [1, 2]) }, metadata: #"{"format":"mlx"}"#).bytes
        folder.write("a/" + weights, bytes)
        for name in others { folder.write("a/" + name, SafetensorsBytes([("other", "U8", [1], [1])]).bytes) }
        folder.write("a/adapter_config.json", #"{"r":1}"#)
        return folder
    }

    @Test(
        "an adapter is written under the names that it was read by, and replaces itself",
        arguments: [
            // PEFT keeps whole matrices beside the low-rank ones.
            ("adapter_model.safetensors", ["m.q.lora_A.weight", "m.q.lora_B.weight", "m.lm_head.weight"], []),
            ("adapters.safetensors", ["m.q.lora_a", "m.q.lora_b", "m.q.m"], ["0000100_adapters.safetensors"]),
        ])
    func names(weights: String, tensors: [String], others: [String]) throws {
        let folder = AdapterFolderTests.folder(weights, tensors: tensors, others: others)
        let checkpoint = try Checkpoint.open(folder("a"))
        let writer = CheckpointWriter(replaces: true, threads: 1)
        for _ in 0..<2 {
            let written = try writer.write(OutputPlan(checkpoint), to: folder("out"))
            #expect(try Contents(written) == Contents(checkpoint))
            #expect(Files.names(folder("out")) == ["adapter_config.json", weights])
            guard case .adapter = written.content else { return #expect(Bool(false), "is \(written.content)") }
        }
        #expect(checkpoint.leftOut == others)
    }

    @Test("a PyTorch adapter becomes the safetensors file that PEFT reads first")
    func pickled() throws {
        let folder = TemporaryFolder()
        folder.makeFolder("a")
        let name = "base_model.model.q.lora_A.weight"
        let pickle = PickleBytes.pickle(PickleBytes.named([(name, PickleBytes.tensor())]))
        folder.write("a/adapter_model.bin", ZipBytes(pickle: pickle, storages: [("0", Array(0..<16))]).bytes)
        let written = try CheckpointWriter(threads: 1).write(
            OutputPlan(Checkpoint.open(folder("a"))), to: folder("out"))
        #expect(written.tensors.map(\.name) == [name])
        #expect(Files.names(folder("out")) == ["adapter_model.safetensors"])
    }

    @Test("an adapter is not split, because its readers take one file")
    func shards() throws {
        let folder = AdapterFolderTests.folder("adapter_model.safetensors", tensors: ["m.q.lora_A.weight"])
        let checkpoint = try Checkpoint.open(folder("a"))
        let error = #expect(throws: CheckpointError.self) { try OutputPlan(checkpoint, shardByteCount: 100) }
        expect(error, "is a LoRA adapter, which is read from one file")
    }
}
