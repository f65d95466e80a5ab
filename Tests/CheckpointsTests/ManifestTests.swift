import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("manifests")
struct ManifestTests {
    /// A right manifest of two tensors, in parts that tests replace.
    private struct Text {
        var format = "\"format\":\"resect-manifest\","
        var version = "\"version\":1,"
        var algorithm = "\"algorithm\":\"xxh3-128\","
        var total: String?
        var first = Text.entry()
        var second = Text.entry("b", "[]", 2)

        static let digest = "0123456789abcdef0123456789abcdef"

        static func entry(
            _ name: String = "a", _ shape: String = "[2,3]", _ byteCount: Int = 12, dtype: String = "BF16",
            hash: String = digest
        ) -> String {
            "{\"name\":\"\(name)\",\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"byteCount\":\(byteCount),"
                + "\"hash\":\"\(hash)\"}"
        }

        /// What xxhsum -H2 prints for `DIGEST BF16 2x3 1 a` and `DIGEST BF16  1 b`, two lines.
        static let rightTotal = "4580071d51491d611e8753d24197ee30"

        var text: String {
            "{\(format)\(version)\(algorithm)\"total\":\"\(total ?? Text.rightTotal)\",\"tensors\":[\(first),\(second)]}"
        }
    }

    private static func read(_ text: String) throws -> Manifest {
        let folder = TemporaryFolder()
        return try Manifest(path: folder.write("m.json", text))
    }

    private static func expectRefusal(
        _ message: String, sourceLocation: SourceLocation = #_sourceLocation, _ change: (inout Text) -> Void
    ) {
        var text = Text()
        change(&text)
        let error = #expect(throws: CheckpointError.self, sourceLocation: sourceLocation) { try read(text.text) }
        expect(error, message, sourceLocation: sourceLocation)
    }

    @Test("what is written reads back equal", arguments: HashAlgorithm.allCases)
    func roundTrip(algorithm: HashAlgorithm) throws {
        for path in [Fixture.model, Fixture.path("tiny/llama3")] {
            let manifest = try Manifest(Checkpoint.open(path), algorithm: algorithm, threads: 2)
            #expect(try ManifestTests.read(manifest.text) == manifest)
        }
    }

    @Test("names of any text survive, and those that differ only in composition are two")
    func names() throws {
        let folder = TemporaryFolder()
        let names = ["a\\\"b", "a\\nb", "e\u{301}", "\u{E9}", "", "🜁", "\\u0007"]
        let file = SafetensorsBytes(names.map { ($0, "U8", [1], [7]) })
        let manifest = try Manifest(Checkpoint.open(folder.write("a.safetensors", file.bytes)), threads: 1)
        #expect(manifest.entries.count == names.count)
        #expect(try ManifestTests.read(manifest.text) == manifest)
    }

    @Test("a manifest of more than 16 MiB is read")
    func large() throws {
        let names = (0..<60_000).map { "\($0)." + String(repeating: "long.", count: 45) }
        let folder = TemporaryFolder()
        let file = SafetensorsBytes(names.map { ($0, "U8", [0], []) })
        let manifest = try Manifest(Checkpoint.open(folder.write("a.safetensors", file.bytes)), threads: 1)
        #expect(manifest.text.utf8.count > 16 << 20)
        #expect(try ManifestTests.read(manifest.text) == manifest)
    }

    @Test("every way a manifest can lie is refused with its reason")
    func hostile() throws {
        ManifestTests.expectRefusal("is not a manifest: 'format' is not") { $0.format = "" }
        ManifestTests.expectRefusal("is not a manifest: 'format' is not") { $0.format = "\"format\":\"other\"," }
        ManifestTests.expectRefusal("the version is missing; version 1 is read") { $0.version = "" }
        ManifestTests.expectRefusal("the version is 2; version 1 is read") { $0.version = "\"version\":2," }
        ManifestTests.expectRefusal("'algorithm' is missing or unknown; known: xxh3-128 xxh64") {
            $0.algorithm = "\"algorithm\":\"md5\","
        }
        ManifestTests.expectRefusal("'total' is not a hash of 16") { $0.algorithm = "\"algorithm\":\"xxh64\"," }
        ManifestTests.expectRefusal("'total' is not a hash of 32") { $0.total = "12" }
        ManifestTests.expectRefusal("'total' is not a hash of 32") { $0.total = String(repeating: "A", count: 32) }
        ManifestTests.expectRefusal("'total' is not a hash of 32") { $0.total = String(repeating: "g", count: 32) }
        ManifestTests.expectRefusal(", but its tensors have the total ") {
            $0.total = String(repeating: "0", count: 32)
        }
        ManifestTests.expectRefusal("tensor 1 of the list has no name") { $0.second = "7" }
        ManifestTests.expectRefusal("tensor 1 of the list has no name") { $0.second = "{}" }
        ManifestTests.expectRefusal("tensor 'a' occurs twice") { $0.second = $0.first }
        ManifestTests.expectRefusal("tensor 'a' has no known dtype") { $0.first = Text.entry(dtype: "bf16") }
        ManifestTests.expectRefusal("tensor 'a' has no known dtype") { $0.first = Text.entry(dtype: "BF17") }
        for shape in ["[2,-3]", "[2,1.5]", "7", "[99999999999999999999]", "[\"2\"]"] {
            ManifestTests.expectRefusal("tensor 'a' has no shape of integers") {
                $0.first = Text.entry("a", shape)
            }
        }
        ManifestTests.expectRefusal("cannot have the shape") {
            $0.first = Text.entry("a", "[4611686018427387904,4]")
        }
        ManifestTests.expectRefusal("cannot have the shape [7]") { $0.first = Text.entry("a", "[7]", dtype: "Q4_K") }
        ManifestTests.expectRefusal("needs 12 bytes; 'byteCount' differs") { $0.first = Text.entry("a", "[2,3]", 13) }
        ManifestTests.expectRefusal("tensor 'a' has no hash of 32") { $0.first = Text.entry(hash: "00") }
        ManifestTests.expectRefusal("tensor 'a' has no hash of 32") {
            $0.first = Text.entry(hash: String(repeating: "é", count: 16))
        }
    }

    @Test("a manifest that is cut anywhere, or has other text in it, is refused")
    func truncated() throws {
        let text = try Manifest(Checkpoint.open(Fixture.path("tiny/llama3")), threads: 1).text
        let bytes = Array(text.utf8)
        let folder = TemporaryFolder()
        for count in stride(from: 0, to: bytes.count - 2, by: 7) {
            let path = folder.write("m.json", Array(bytes[..<count]))
            #expect(throws: CheckpointError.self) { try Manifest(path: path) }
        }
        for other in ["[]", "null", "{\"a\":1,\"a\":2}", "\u{FEFF}{}", text + "x"] {
            #expect(throws: CheckpointError.self) { try ManifestTests.read(other) }
        }
        let error = #expect(throws: CheckpointError.self) {
            let path = folder.write("large.json", "{}")
            Files.truncate(path, 17 << 20)
            _ = try Manifest(path: path)
        }
        expect(error, "at most 16,777,216 are read")
    }

    @Test("text is told from checkpoints")
    func kinds() throws {
        let folder = TemporaryFolder()
        #expect(Manifest.isText(at: folder.write("m", "{\"format\":\"resect-manifest\"}")))
        #expect(Manifest.isText(at: folder.write("short", "{}")))
        // A header of 123 bytes begins with a brace.
        let name = String(repeating: "n", count: 123 - 52)
        let file = SafetensorsBytes([(name, "U8", [1], [7])])
        #expect(file.bytes.first == UInt8(ascii: "{"), "\(file.header.utf8.count)")
        #expect(!Manifest.isText(at: folder.write("x.safetensors", file.bytes)))
        #expect(!Manifest.isText(at: Fixture.model))
        #expect(!Manifest.isText(at: folder("missing")))
        #expect(!Manifest.isText(at: folder.write("model.safetensors.index.json", "{}")))
    }

    // MARK: beside an output

    private static func write(
        _ folder: TemporaryFolder, _ path: String, manifest: String, replaces: Bool = false, failing: Int? = nil
    ) throws -> Checkpoint {
        var checkpoint = try Checkpoint.open(folder.write("in.gguf", GGUFTests.small.bytes))
        checkpoint.tensors.append(
            Tensor(
                name: "made", dtype: .f16, shape: [40, 4],
                recipe: .computed(CountedRows(rowByteCount: 8, failing: failing))))
        var writer = CheckpointWriter(replaces: replaces, threads: 2)
        writer.manifest = manifest
        return try writer.write(OutputPlan(checkpoint), to: path)
    }

    @Test("a writer leaves a manifest of what it wrote")
    func written() throws {
        let folder = TemporaryFolder()
        let written = try ManifestTests.write(folder, folder("out.gguf"), manifest: folder("m.json"))
        #expect(try Manifest(path: folder("m.json")) == Manifest(written, threads: 1))
        #expect(folder.names == ["in.gguf", "m.json", "out.gguf"])
    }

    @Test("what fails leaves neither the output nor the manifest")
    func nothingLeft() throws {
        let folder = TemporaryFolder()
        #expect(throws: CheckpointError.self) {
            try ManifestTests.write(folder, folder("out.gguf"), manifest: folder("m.json"), failing: 3)
        }
        #expect(folder.names == ["in.gguf"])
    }

    @Test("a manifest is never written over an input, the output, or into it")
    func places() throws {
        let folder = TemporaryFolder()
        func expectRefusal(_ manifest: String, _ message: String, replaces: Bool = true) {
            let before = folder.names
            let error = #expect(throws: CheckpointError.self) {
                try ManifestTests.write(folder, folder("out.gguf"), manifest: manifest, replaces: replaces)
            }
            expect(error, message)
            #expect(folder.names == before)
        }
        _ = folder.write("in.gguf", GGUFTests.small.bytes)
        expectRefusal(folder("in.gguf"), "is the input")
        expectRefusal(folder("out.gguf"), "is the output")
        expectRefusal(folder.path + "/./out.gguf", "is the output")
        expectRefusal(folder("nowhere/m.json"), "is not a folder")
        expectRefusal(folder.write("m.json", "old"), "exists", replaces: false)
        #expect(Files.read(folder("m.json")) == Array("old".utf8))
        folder.makeFolder("sub")
        expectRefusal(folder("sub"), "is a folder")
        let model = try Checkpoint.open(Fixture.path("tiny/llama3"))
        var writer = CheckpointWriter(replaces: true, threads: 1)
        writer.manifest = folder("sub/m.json")
        let error = #expect(throws: CheckpointError.self) { try writer.write(OutputPlan(model), to: folder("sub")) }
        expect(error, "is the output or inside it")
    }
}
