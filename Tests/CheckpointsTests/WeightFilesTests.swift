import Checkpoints
import Formats
import TestSupport
import Testing

/// Which files of a folder hold the model. The right answers are those of transformers 5.24, `_get_resolved_checkpoint_files`.
@Suite("the weights of a folder")
struct WeightFilesTests {
    private static let index = "model.safetensors.index.json"

    /// A folder with a file of each name, whose one tensor has the file's name.
    private static func folder(_ names: [String]) -> TemporaryFolder {
        let folder = TemporaryFolder()
        for name in names {
            switch name {
            case index: folder.write(name, #"{"weight_map":{"s-1.safetensors":"s-1.safetensors"}}"#)
            case "pytorch_model.bin.index.json": folder.write(name, #"{"weight_map":{"s-1.bin":"s-1.bin"}}"#)
            case let name where name.hasSuffix(".safetensors"):
                folder.write(name, SafetensorsBytes([(name, "U8", [1], [1])]).bytes)
            case let name where name.hasSuffix(".json"): folder.write(name, "{}")
            default:
                let pickle = PickleBytes.pickle(PickleBytes.named([(name, PickleBytes.tensor())]))
                folder.write(name, ZipBytes(pickle: pickle, storages: [("0", Array(0..<16))]).bytes)
            }
        }
        return folder
    }

    @Test(
        "the model is what transformers takes",
        arguments: [
            (["model.safetensors", index, "s-1.safetensors", "pytorch_model.bin"], "model.safetensors"),
            // An index that was left behind does not matter beside a whole file.
            (["model.safetensors", index], "model.safetensors"),
            ([index, "s-1.safetensors", "pytorch_model.bin"], "s-1.safetensors"),
            ([index, "s-1.safetensors", "consolidated.safetensors"], "s-1.safetensors"),
            (["pytorch_model.bin", "pytorch_model.bin.index.json", "adapter_model.safetensors"], "pytorch_model.bin"),
            (["pytorch_model.bin", "optimizer.safetensors"], "pytorch_model.bin"),
            (["pytorch_model.bin", "learned_embeds.safetensors"], "pytorch_model.bin"),
            (["pytorch_model.bin", "anything.safetensors"], "pytorch_model.bin"),
            (["pytorch_model.bin.index.json", "s-1.bin", "anything.safetensors"], "s-1.bin"),
            (["model.safetensors", "model.fp16.safetensors"], "model.safetensors"),
            (["pytorch_model.bin", "model.fp16.safetensors"], "pytorch_model.bin"),
        ])
    func precedence(names: [String], tensor: String) throws {
        let folder = WeightFilesTests.folder(names)
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.tensors.map(\.name) == [tensor])
        #expect(checkpoint.content == .model)
    }

    @Test(
        "where transformers finds nothing, the only file that can be the model is",
        arguments: [
            (["weights.safetensors"], "weights.safetensors"),
            (["weights.safetensors", "optimizer.safetensors", "a.pt"], "weights.safetensors"),
            (["weights.safetensors", "adapter_model.safetensors"], "weights.safetensors"),
            (["model.fp16.safetensors", "adapter_model.bin"], "model.fp16.safetensors"),
            (["consolidated.00.pth", "optimizer.pt", "rng_state.pth"], "consolidated.00.pth"),
        ])
    func only(names: [String], tensor: String) throws {
        let folder = WeightFilesTests.folder(names)
        #expect(try Checkpoint.open(folder.path).tensors.map(\.name) == [tensor])
    }

    @Test("an index that is named is gone by, whatever lies beside it")
    func named() throws {
        let folder = WeightFilesTests.folder(["model.safetensors", WeightFilesTests.index, "s-1.safetensors"])
        #expect(try Checkpoint.open(folder(WeightFilesTests.index)).tensors.map(\.name) == ["s-1.safetensors"])
        folder.write(
            "model.safetensors.index.fp16.json", #"{"weight_map":{"model.safetensors":"model.safetensors"}}"#)
        let variant = try Checkpoint.open(folder("model.safetensors.index.fp16.json"))
        #expect(variant.tensors.map(\.name) == ["model.safetensors"])
        // An index describes files that an output does not have.
        #expect(variant.companions.isEmpty)
    }

    @Test("config.json may name the file, and the output's does not name one that it does not have")
    func stated() throws {
        let folder = WeightFilesTests.folder(["model.safetensors", "other.safetensors"])
        folder.write("config.json", #"{"transformers_weights":"other.safetensors","a":1}"#)
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.tensors.map(\.name) == ["other.safetensors"])
        try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint), to: folder("out"))
        #expect(try Checkpoint.open(folder("out")).config?.keys == ["a"])
        folder.write("config.json", #"{"transformers_weights":"third.safetensors"}"#)
        expectFailure(opening: folder.path, "'transformers_weights' is 'third.safetensors', which is not in the folder")
    }

    @Test("an index that was left behind is named, with what lies beside it")
    func stale() throws {
        let folder = WeightFilesTests.folder([WeightFilesTests.index, "pytorch_model.bin"])
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
        expect(error, "index.json: the one file that it names is not in the folder: s-1.safetensors")
        #expect(error?.hint == "fetch the folder again, or remove the index if pytorch_model.bin is the model")
    }

    // MARK: tensors in two files

    private static func shards(map: String) -> TemporaryFolder {
        let folder = TemporaryFolder()
        folder.write("a.safetensors", SafetensorsBytes([("x", "U8", [1], [1]), ("y", "U8", [1], [2])]).bytes)
        folder.write("b.safetensors", SafetensorsBytes([("x", "U8", [1], [3]), ("z", "U8", [1], [4])]).bytes)
        folder.write(index, #"{"weight_map":\#(map)}"#)
        return folder
    }

    @Test(
        "the index says which of two files counts",
        arguments: [("a", ["x", "y", "z"], [[1], [2], [4]]), ("b", ["y", "x", "z"], [[2], [3], [4]])])
    func duplicates(file: String, names: [String], bytes: [[UInt8]]) throws {
        let folder = WeightFilesTests.shards(
            map: #"{"x":"\#(file).safetensors","y":"a.safetensors","z":"b.safetensors"}"#)
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.tensors.map(\.name) == names)
        #expect(try Contents(checkpoint).bytes == bytes)
        #expect(checkpoint.notes == ["the tensor 'x' is in two files; the one that the index names is read"])
        let plan = try OutputPlan(checkpoint, keepsShards: true)
        #expect(plan.shardCount == 2)
    }

    @Test("a tensor in two files that the index does not name is refused, with both")
    func ambiguous() {
        let folder = WeightFilesTests.shards(map: #"{"y":"a.safetensors","z":"b.safetensors"}"#)
        expectFailure(
            opening: folder.path, "tensor 'x' is in two of the folder's files, a.safetensors and b.safetensors")
    }

    // MARK: the architecture

    @Test(
        "model_type decides where no class is named",
        arguments: [
            (#"{"model_type":"llama"}"#, "llama"), (#"{"model_type":"mistral","architectures":null}"#, "mistral"),
            (#"{"model_type":"llama","architectures":[]}"#, "llama"),
            (#"{"model_type":"llama","architectures":["LlamaForSequenceClassification"]}"#, nil),
            (#"{"model_type":"unheard"}"#, nil), ("{}", nil),
        ])
    func modelType(config: String, name: String?) throws {
        let folder = WeightFilesTests.folder(["model.safetensors"])
        folder.write("config.json", config)
        #expect(try Checkpoint.open(folder.path).architecture?.name == name)
    }
}
