import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("folders of PyTorch files")
struct PyTorchFolderTests {
    private static let index = "pytorch_model.bin.index.json"

    /// A file with a tensor of each name, all of the same bytes.
    private static func file(_ names: String...) -> [UInt8] {
        let members = names.map { ($0, PickleBytes.tensor()) }
        return ZipBytes(pickle: PickleBytes.pickle(PickleBytes.named(members)), storages: [("0", Array(0..<16))]).bytes
    }

    @Test("a folder of one file is read with its configuration, and written as safetensors")
    func whole() throws {
        let folder = TemporaryFolder()
        folder.write("pytorch_model.bin", PyTorchFolderTests.file("h.0.w", "h.1.w"))
        folder.write("config.json", #"{"architectures":["Unknown"],"num_hidden_layers":2}"#)
        folder.write("tokenizer.json", "{}")
        // What a training run leaves is no model.
        folder.write("training_args.bin", "x")
        folder.write("optimizer.pt", "x")
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.form == .folder && checkpoint.isPyTorch)
        #expect(checkpoint.tensors.map(\.name) == ["h.0.w", "h.1.w"])
        #expect(checkpoint.companions.map(\.name) == ["tokenizer.json"])
        try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint), to: folder("out"))
        #expect(Files.names(folder("out")) == ["config.json", "model.safetensors", "tokenizer.json"])
        let written = try Checkpoint.open(folder("out"))
        #expect(try !written.isPyTorch && Contents(written) == Contents(checkpoint))
        #expect(written.headerMetadata?["format"]?.string == "pt")
    }

    @Test("the only file of a folder is read under any name", arguments: ["a.pt", "consolidated.00.pth", "a.ckpt"])
    func anyName(name: String) throws {
        let folder = TemporaryFolder()
        folder.write(name, PyTorchFolderTests.file("a"))
        folder.write("scheduler.pt", "x")
        #expect(try Checkpoint.open(folder.path).tensors.map(\.name) == ["a"])
    }

    @Test("shards are joined through the folder and through its index")
    func sharded() throws {
        let folder = TemporaryFolder()
        folder.write("a-1.bin", PyTorchFolderTests.file("h.0.w"))
        folder.write("a-2.bin", PyTorchFolderTests.file("h.1.w", "h.2.w"))
        folder.write(
            PyTorchFolderTests.index, #"{"weight_map":{"h.2.w":"a-2.bin","h.1.w":"a-2.bin","h.0.w":"a-1.bin"}}"#)
        for path in [folder.path, folder(PyTorchFolderTests.index)] {
            let checkpoint = try Checkpoint.open(path)
            #expect(checkpoint.tensors.map(\.name) == ["h.0.w", "h.1.w", "h.2.w"])
            #expect(checkpoint.sources.count == 2)
        }
        folder.write(PyTorchFolderTests.index, #"{"weight_map":{"h.1.w":"a-1.bin"}}"#)
        expectFailure(opening: folder.path, "tensor 'h.1.w' is not in a-1.bin, where the index places it")
        folder.write(PyTorchFolderTests.index, #"{"weight_map":{"h.1.w":"../a-1.bin"}}"#)
        expectFailure(opening: folder.path, "is in a file outside the folder, according to the index")
        folder.write(PyTorchFolderTests.index, #"{"weight_map":{"h.0.w":"a-1.bin","b":"a-3.bin"}}"#)
        expectFailure(opening: folder.path, "1 of the 2 files that it names is not in the folder: a-3.bin")
    }

    @Test("safetensors files come before PyTorch's, and a whole file before an index")
    func precedence() throws {
        let folder = TemporaryFolder()
        folder.write("pytorch_model.bin", PyTorchFolderTests.file("torch"))
        folder.write(PyTorchFolderTests.index, #"{"weight_map":{"h.0.w":"a-1.bin"}}"#)
        #expect(try Checkpoint.open(folder.path).tensors.map(\.name) == ["torch"])
        let safetensors = SafetensorsBytes([(name: "safe", dtype: "U8", shape: [1], data: [1])])
        folder.write("model.safetensors", safetensors.bytes)
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.tensors.map(\.name) == ["safe"] && !checkpoint.isPyTorch)
    }

    @Test(
        "a tensor with two names is kept once where the configuration ties embeddings",
        arguments: [
            ("true", ["embed", "part", "norm"]), ("false", ["embed", "part", "head", "norm"]),
            ("null", ["embed", "part", "head", "norm"]),
        ])
    func tied(value: String, names: [String]) throws {
        let folder = TemporaryFolder()
        let members = [
            ("embed", PickleBytes.tensor()), ("part", PickleBytes.tensor(shape: [1, 2])),
            ("head", PickleBytes.tensor()),
            ("norm", PickleBytes.tensor(offset: 1, shape: [2], strides: [1])),
        ]
        let file = ZipBytes(
            pickle: PickleBytes.pickle(PickleBytes.named(members)), storages: [("0", Array(0..<16))])
        folder.write("pytorch_model.bin", file.bytes)
        folder.write("config.json", #"{"tie_word_embeddings":\#(value)}"#)
        #expect(try Checkpoint.open(folder.path).tensors.map(\.name) == names)
        #expect(try Checkpoint.open(folder("pytorch_model.bin")).tensors.count == 4)
    }

    @Test("a folder whose file is refused is refused")
    func refused() {
        let folder = TemporaryFolder()
        let evil = PickleBytes.pickle(PickleBytes.global("posix", "system"))
        folder.write("pytorch_model.bin", ZipBytes(pickle: evil, storages: []).bytes)
        expectFailure(opening: folder.path, "pytorch_model.bin: refuses global 'posix.system'")
    }
}
