import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("opening")
struct OpeningTests {
    @Test("the fixture model is what its configuration says")
    func fixture() throws {
        let model = try Checkpoint.open(Fixture.model)
        #expect(model.form == .folder)
        #expect(model.architecture?.name == "llama")
        #expect(model.architectureName == "LlamaForCausalLM")
        #expect(model.layerCount == 12)
        #expect(model.tensors.allSatisfy { $0.dtype == .bf16 })
        #expect(model.tensor(named: "model.embed_tokens.weight")?.shape == [2048, 256])
        #expect(model.companion("tokenizer.json") != nil)
        #expect(model.companion("config.json") == nil)
        try model.checkConsistency()
    }

    @Test(
        "a file that people take for a model gets a reason of its own",
        arguments: [
            Hostile("nothing", [], "is empty"),
            Hostile(
                "a Git LFS pointer", Array("version https://git-lfs.github.com/spec/v1\noid sha256:0\n".utf8),
                "is a Git LFS pointer"),
            Hostile("a zip archive", Array("PK\u{3}\u{4}rest of it".utf8), "is a zip archive"),
            Hostile("a text", Array("hello".utf8), ""),
        ])
    func foreign(file: Hostile) {
        for name in ["a.safetensors", "a.gguf", "a.bin", "a"] { file.expectRefusal(fileName: name) }
    }

    @Test("a GGUF file is read under any name, and safetensors under its own only")
    func names() throws {
        let folder = TemporaryFolder()
        #expect(try Checkpoint.open(folder.write("model", GGUFTests.small.bytes)).form == .gguf)
        #expect(try Checkpoint.open(folder.write("model.safetensors", GGUFTests.small.bytes)).form == .gguf)
        expectFailure(
            opening: folder.write("model.bin", SafetensorsTests.small.bytes),
            "is not a safetensors, GGUF or PyTorch file")
    }

    @Test("what is no regular file is refused at once", .timeLimit(.minutes(1)))
    func devices() {
        let folder = TemporaryFolder()
        Files.fifo(folder("fifo.gguf"))
        Files.symbolicLink(folder("dangling.gguf"), to: folder("nowhere"))
        expectFailure(opening: folder("fifo.gguf"), "is not a regular file")
        expectFailure(opening: folder("dangling.gguf"), "does not exist")
        expectFailure(opening: "/dev/null", "is not a regular file")
        expectFailure(opening: "/dev/zero", "is not a regular file")
        expectFailure(opening: folder("missing"), "does not exist")
    }

    @Test("a sparse file of 1 TiB is opened without reading it")
    func sparse() throws {
        let folder = TemporaryFolder()
        let count = 1 << 40
        let file = SafetensorsBytes(
            header: #"{"a":{"dtype":"U8","shape":[\#(count)],"data_offsets":[0,\#(count)]}}"#, data: [])
        let path = folder.write("a.safetensors", file.bytes)
        Files.truncate(path, file.bytes.count + count)
        let time = try ContinuousClock().measure {
            let byteCount = try Checkpoint.open(path).byteCount
            #expect(byteCount == count)
        }
        #expect(time < .seconds(20))
    }

    @Test("control characters in names do not reach a terminal")
    func escaping() {
        let folder = TemporaryFolder()
        let name = "a\\u001b[31m\\u0007\\n\\u007f\\u009b"
        let file = SafetensorsBytes(header: #"{"\#(name)":{"dtype":"F32"}}"#, data: [])
        expectFailure(
            opening: folder.write("x.safetensors", file.bytes), #"tensor 'a\x1b[31m\x07\x0a\x7f\x9b' has no shape"#)
    }

    @Test(
        "numbers have commas between thousands",
        arguments: [
            (0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567"),
            (Int.min, "-9,223,372,036,854,775,808"),
        ])
    func grouping(number: Int, text: String) { #expect(number.grouped == text) }

    @Test(
        "the last component of a path",
        arguments: [
            ("a/b", "b", "a"), ("a/b/", "b", "a"), ("/a", "a", "/"), ("a", "a", "."), ("/", "/", "/"),
            ("a//b", "b", "a/"), ("a/.", ".", "a"),
        ])
    func components(path: String, last: String, parent: String) {
        #expect(path.lastPathComponent == last)
        #expect(path.deletingLastPathComponent == parent)
    }
}

@Suite("HF folders")
struct FolderTests {
    private static let indexName = "model.safetensors.index.json"

    private static func shard(_ names: String...) -> [UInt8] {
        SafetensorsBytes(names.map { (name: $0, dtype: "U8", shape: [1], data: [1]) }).bytes
    }

    private static func folder(index: String? = nil, _ files: [(String, [UInt8])]) -> TemporaryFolder {
        let folder = TemporaryFolder()
        for (name, bytes) in files { folder.write(name, bytes) }
        if let index { folder.write(indexName, #"{"metadata":{"total_size":2},"weight_map":\#(index)}"#) }
        return folder
    }

    private static let twoShards = [("s-1.safetensors", shard("h.0.w")), ("s-2.safetensors", shard("h.1.w"))]
    private static let twoShardIndex = #"{"h.1.w":"s-2.safetensors","h.0.w":"s-1.safetensors"}"#

    @Test("shards are joined through the folder and through its index")
    func sharded() throws {
        let folder = FolderTests.folder(index: FolderTests.twoShardIndex, FolderTests.twoShards)
        folder.write("config.json", #"{"architectures":["Unknown"],"num_hidden_layers":2}"#)
        folder.write("notes.txt", "kept")
        folder.write("picture.png", "not kept")
        folder.write("pytorch_model.bin.index.json", "{}")
        for path in [folder.path, folder(FolderTests.indexName)] {
            let checkpoint = try Checkpoint.open(path)
            #expect(checkpoint.tensors.map(\.name) == ["h.0.w", "h.1.w"])
            #expect(checkpoint.sources.count == 2)
            #expect(checkpoint.companions.map(\.name) == ["notes.txt"])
            #expect(checkpoint.architecture == nil)
            #expect(checkpoint.architectureName == "Unknown")
            try checkpoint.checkConsistency()
        }
        try CheckpointWriter(threads: 1).write(OutputPlan(Checkpoint.open(folder.path)), to: folder("out"))
        #expect(Files.names(folder("out")) == ["config.json", "model.safetensors", "notes.txt"])
    }

    @Test(
        "an index that leaves the folder is refused",
        arguments: [
            "../s-1.safetensors", "/etc/hostname", "sub/s.safetensors", "..", ".", "", "s-1.safetensors\\u0000",
            "a\\u0000/../b",
        ])
    func traversal(name: String) {
        let folder = FolderTests.folder(index: #"{"h.0.w":"\#(name)"}"#, FolderTests.twoShards)
        expectFailure(opening: folder.path, "tensor 'h.0.w' is in a file outside the folder, according to the index")
    }

    @Test("an index that is no map of text is refused", arguments: [#"{"h.0.w":7}"#, "{}", "[]", "null"])
    func badIndex(index: String) {
        let folder = FolderTests.folder(index: index, FolderTests.twoShards)
        expectFailure(opening: folder.path, "")
    }

    @Test("a shard that is missing, or not as the index says, is refused")
    func wrongShards() {
        var folder = FolderTests.folder(index: FolderTests.twoShardIndex, [FolderTests.twoShards[0]])
        expectFailure(opening: folder.path, "1 of the 2 files that it names is not in the folder: s-2.safetensors")
        folder = FolderTests.folder(
            index: FolderTests.twoShardIndex,
            [FolderTests.twoShards[0], ("s-2.safetensors", FolderTests.shard("h.2.w"))])
        expectFailure(opening: folder.path, "tensor 'h.1.w' is not in s-2.safetensors, where the index places it")
        folder = FolderTests.folder(index: #"{"h.0.w":"pipe.safetensors"}"#, [])
        Files.fifo(folder("pipe.safetensors"))
        expectFailure(opening: folder.path, "pipe.safetensors: is not a regular file")
    }

    @Test("a folder without weights, or with several files and no index, is refused")
    func noWeights() {
        var folder = TemporaryFolder()
        expectFailure(opening: folder.path, "the folder has no safetensors file")
        folder = FolderTests.folder([("a.bin", [1]), ("b.bin", [1]), ("training_args.bin", [1])])
        expectFailure(opening: folder.path, "has 2 PyTorch files but no pytorch_model.bin.index.json")
        folder = FolderTests.folder(FolderTests.twoShards)
        expectFailure(opening: folder.path, "has 2 safetensors files but no model.safetensors.index.json")
    }

    @Test(
        "a configuration that is not a JSON object is refused", arguments: ["", "[]", "{\"a\":1,\"a\":2}", "{\"a\":"])
    func badConfig(text: String) {
        let folder = FolderTests.folder([("model.safetensors", FolderTests.shard("h.0.w"))])
        folder.write("config.json", text)
        expectFailure(opening: folder.path, "config.json: ")
    }

    @Test(
        "a configuration that contradicts the tensors is found",
        arguments: [
            (#"{"num_hidden_layers":3}"#, "num_hidden_layers is 3; the tensors have 2 layers"),
            (#"{"num_hidden_layers":"2"}"#, "num_hidden_layers is \"2\", not a number of layers"),
            (#"{"num_hidden_layers":2,"layer_types":["a"]}"#, "the length of layer_types is 1"),
            (#"{"num_hidden_layers":2,"num_nextn_predict_layers":-9223372036854775808}"#, ""),
            (
                #"{"num_hidden_layers":-9223372036854775808,"num_nextn_predict_layers":9223372036854775807}"#,
                "num_hidden_layers is"
            ),
        ])
    func inconsistent(config: String, message: String) throws {
        let folder = FolderTests.folder(index: FolderTests.twoShardIndex, FolderTests.twoShards)
        folder.write("config.json", config)
        let checkpoint = try Checkpoint.open(folder.path)
        if message.isEmpty { return try checkpoint.checkConsistency() }
        expect(#expect(throws: CheckpointError.self) { try checkpoint.checkConsistency() }, message)
    }
}

@Suite("links in folders")
struct FolderLinkTests {
    private static let weights = SafetensorsBytes([(name: "h.0.w", dtype: "U8", shape: [1], data: [1])]).bytes

    /// A cache of Hugging Face: blobs, and a snapshot that links to them.
    private static func cache() -> (folder: TemporaryFolder, snapshot: String) {
        let folder = TemporaryFolder()
        folder.makeFolder("blobs")
        folder.makeFolder("snapshots")
        let snapshot = folder.makeFolder("snapshots/abc")
        folder.write("blobs/1", weights)
        folder.write("blobs/2", "{}")
        Files.symbolicLink(snapshot + "/model.safetensors", to: "../../blobs/1")
        Files.symbolicLink(snapshot + "/config.json", to: "../../blobs/2")
        return (folder, snapshot)
    }

    @Test("a snapshot of Hugging Face's cache is read, also by way of a link to it and from a folder in it")
    func snapshots() throws {
        let (folder, snapshot) = FolderLinkTests.cache()
        Files.symbolicLink(folder("link"), to: snapshot)
        for path in [snapshot, folder("link"), snapshot + "/"] {
            let checkpoint = try Checkpoint.open(path)
            #expect(checkpoint.tensors.count == 1 && checkpoint.config != nil)
        }
        let inner = folder.makeFolder("snapshots/abc/inner")
        Files.symbolicLink(inner + "/model.safetensors", to: "../../../blobs/1")
        #expect(try Checkpoint.open(inner).tensors.count == 1)
    }

    @Test("a link inside the folder is followed")
    func inside() throws {
        let folder = TemporaryFolder()
        folder.makeFolder("sub")
        folder.write("sub/weights", FolderLinkTests.weights)
        Files.symbolicLink(folder("model.safetensors"), to: "sub/weights")
        #expect(try Checkpoint.open(folder.path).tensors.count == 1)
    }

    @Test(
        "a link that leaves the folder is refused",
        arguments: [
            "model.safetensors", "config.json", "notes.txt", "model.safetensors.index.json", "shard.safetensors",
        ])
    func outside(name: String) {
        let (cache, snapshot) = FolderLinkTests.cache()
        cache.write("elsewhere", name.hasSuffix(".safetensors") ? FolderLinkTests.weights : Array("{}".utf8))
        if name.contains("index") || name == "shard.safetensors" { Files.remove(snapshot + "/model.safetensors") }
        if name == "shard.safetensors" {
            Files.write(
                snapshot + "/model.safetensors.index.json", Array(#"{"weight_map":{"h.0.w":"shard.safetensors"}}"#.utf8)
            )
        }
        Files.remove(snapshot + "/" + name)
        for target in ["../../elsewhere", "../../blobs/../elsewhere", cache("elsewhere")] {
            Files.symbolicLink(snapshot + "/" + name, to: target)
            expectFailure(opening: snapshot, "\(name): is a link to a file outside the folder")
            Files.remove(snapshot + "/" + name)
        }
        // Blobs of another folder are no blobs of this one.
        let other = TemporaryFolder()
        other.makeFolder("blobs")
        other.write("blobs/1", FolderLinkTests.weights)
        Files.symbolicLink(snapshot + "/" + name, to: other("blobs/1"))
        expectFailure(opening: snapshot, "\(name): is a link to a file outside the folder")
    }
}
