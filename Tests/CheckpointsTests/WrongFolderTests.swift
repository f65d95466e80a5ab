import Checkpoints
import TestSupport
import Testing

@Suite("folders that are named by mistake")
struct WrongFolderTests {
    private static let weights = SafetensorsBytes([("h.0.w", "U8", [1], [1])]).bytes

    private static func expect(
        _ folder: TemporaryFolder, _ message: String, hint: String?, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: CheckpointError.self, sourceLocation: sourceLocation) {
            try Checkpoint.open(folder.path)
        }
        #expect(error?.problem == message, sourceLocation: sourceLocation)
        #expect(
            error?.hint == hint?.replacing("DIR", with: folder.path), sourceLocation: sourceLocation)
    }

    @Test("the root of a model in Hugging Face's cache, with and without its main branch")
    func cache() {
        let folder = TemporaryFolder()
        for name in ["blobs", "refs", "snapshots", "snapshots/abc", "snapshots/def"] { folder.makeFolder(name) }
        let message = "is the root of a model in the cache of Hugging Face, which has no files itself"
        WrongFolderTests.expect(folder, message, hint: "name DIR/snapshots/abc, DIR/snapshots/def")
        folder.write("refs/main", "def")
        WrongFolderTests.expect(folder, message, hint: "name DIR/snapshots/def")
        folder.write("refs/main", "../../elsewhere")
        WrongFolderTests.expect(folder, message, hint: "name DIR/snapshots/abc, DIR/snapshots/def")
    }

    @Test("the cache itself")
    func wholeCache() {
        let folder = TemporaryFolder()
        for name in ["models--a--b", "models--a--b/snapshots", "models--a--b/snapshots/1", ".locks"] {
            folder.makeFolder(name)
        }
        WrongFolderTests.expect(
            folder, "is the cache of Hugging Face, with 1 model", hint: "name DIR/models--a--b/snapshots/1")
    }

    @Test(
        "GGUF files: the first of a split, and no projector where there is a model",
        arguments: [
            (["m-Q4_K_M.gguf", "mmproj-f16.gguf"], "holds 2 GGUF files", "name DIR/m-Q4_K_M.gguf"),
            (["mmproj-f16.gguf"], "holds 1 GGUF file", "name DIR/mmproj-f16.gguf"),
            (
                ["m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf"], "holds 3 GGUF files",
                "name DIR/m-00001-of-00003.gguf"
            ),
            (
                ["a.gguf", "b.gguf", "c.GGUF", "d.gguf"], "holds 4 GGUF files",
                "name DIR/a.gguf, DIR/b.gguf, DIR/c.GGUF, …"
            ),
        ])
    func ggufs(names: [String], message: String, hint: String) {
        let folder = TemporaryFolder()
        for name in names + ["config.json"] { folder.write(name, "{}") }
        WrongFolderTests.expect(folder, message + ", and no safetensors file", hint: hint)
    }

    @Test("weights of other frameworks, archives, and a folder of checkpoints")
    func others() {
        var folder = TemporaryFolder()
        folder.write("tf_model.h5", "x")
        WrongFolderTests.expect(
            folder, "holds weights of TensorFlow, tf_model.h5, and no safetensors file",
            hint: "safetensors, GGUF and PyTorch files are read")
        folder = TemporaryFolder()
        folder.write("m.resect", "x")
        WrongFolderTests.expect(folder, "holds 1 archive, and no safetensors file", hint: "name DIR/m.resect")
        folder = TemporaryFolder()
        folder.write("optimizer.safetensors", WrongFolderTests.weights)
        let hint = "this name is usual for an optimizer's state or an embedding; give the file if it is a model"
        WrongFolderTests.expect(folder, "the folder has no model, only optimizer.safetensors", hint: hint)
        folder.write("rng_state.pth", "x")
        WrongFolderTests.expect(
            folder, "the folder has no model, only optimizer.safetensors and 1 other file", hint: hint)
        folder = TemporaryFolder()
        folder.makeFolder("checkpoint-500")
        folder.write("checkpoint-500/config.json", "{}")
        folder.write("checkpoint-500/model.safetensors", WrongFolderTests.weights)
        WrongFolderTests.expect(
            folder, "the folder has no safetensors file; 1 sub-folder may have one", hint: "name DIR/checkpoint-500")
    }
}
