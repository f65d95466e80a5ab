import Checkpoints
import Formats
import Synchronization
import TestSupport
import Testing

/// Rows that are computed: each element says where it lies. It fails at one row when it is told to.
struct CountedRows: RowSource {
    var rowByteCount: Int
    var failing: Int?

    var description: String { "counted rows" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        for (index, row) in rows.enumerated() {
            if row == failing { throw CheckpointError(file: "source", "fails at row \(row)") }
            for byte in 0..<rowByteCount {
                output[index * rowByteCount + byte] = UInt8(truncatingIfNeeded: row &* 31 &+ byte &* 7)
            }
        }
    }
}

@Suite("writing")
struct WriterTests {
    private static func source(_ folder: TemporaryFolder) throws -> Checkpoint {
        try Checkpoint.open(folder.write("in.gguf", GGUFTests.small.bytes))
    }

    /// The small file with a tensor of several slabs that is computed.
    private static func computed(_ folder: TemporaryFolder, failing: Int? = nil) throws -> Checkpoint {
        var checkpoint = try source(folder)
        let rows = 300
        let length = 8192
        checkpoint.tensors.insert(
            Tensor(
                name: "made", dtype: .f16, shape: [rows, length],
                recipe: .computed(CountedRows(rowByteCount: 2 * length, failing: failing))), at: 1)
        return checkpoint
    }

    private static func expectFailure(
        _ checkpoint: Checkpoint, to path: String, replaces: Bool = true, _ message: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let error = #expect(throws: CheckpointError.self, sourceLocation: sourceLocation) {
            try CheckpointWriter(replaces: replaces, threads: 2).write(OutputPlan(checkpoint), to: path)
        }
        expect(error, message, sourceLocation: sourceLocation)
    }

    @Test("an output that is not accepted leaves nothing, and the one before it stays", arguments: [false, true])
    func refused(replaces: Bool) throws {
        let folder = TemporaryFolder()
        let checkpoint = try WriterTests.computed(folder)
        if replaces { folder.write("out.gguf", "as it was") }
        let before = folder.names
        var seen: Contents?
        let error = #expect(throws: CheckpointError.self) {
            try CheckpointWriter(replaces: replaces, threads: 2).write(OutputPlan(checkpoint), to: folder("out.gguf")) {
                (written) throws(CheckpointError) in
                seen = try? Contents(written)
                throw CheckpointError(file: "out.gguf", "is too bad")
            }
        }
        #expect(error?.description == "out.gguf: is too bad")
        // It was whole when it was looked at.
        #expect(try seen == Contents(checkpoint))
        #expect(folder.names == before)
        if replaces { #expect(String(decoding: Files.read(folder("out.gguf")), as: UTF8.self) == "as it was") }
    }

    @Test("the bytes do not depend on the number of threads")
    func threads() throws {
        let folder = TemporaryFolder()
        let checkpoint = try WriterTests.computed(folder)
        for threads in 1...3 {
            let written = try CheckpointWriter(threads: threads).write(
                OutputPlan(checkpoint), to: folder("\(threads).gguf"))
            #expect(try Contents(written) == Contents(checkpoint))
        }
        #expect(Files.read(folder("1.gguf")) == Files.read(folder("2.gguf")))
        #expect(Files.read(folder("1.gguf")) == Files.read(folder("3.gguf")))
    }

    @Test("the plan knows the size, and progress ends at it")
    func progress() throws {
        let folder = TemporaryFolder()
        let plan = try OutputPlan(try WriterTests.computed(folder))
        let last = Mutex((done: 0, total: 0))
        let writer = CheckpointWriter(threads: 2) { done, total in
            last.withLock { $0 = (max($0.done, done), total) }
        }
        try writer.write(plan, to: folder("out.gguf"))
        #expect(Files.read(folder("out.gguf")).count == plan.byteCount)
        #expect(last.withLock { $0.total } == plan.byteCount)
        #expect(last.withLock { $0.done } <= plan.byteCount)
    }

    @Test("an output that exists is kept, unless it may be replaced")
    func existing() throws {
        let folder = TemporaryFolder()
        let checkpoint = try WriterTests.source(folder)
        folder.write("out.gguf", "old")
        WriterTests.expectFailure(checkpoint, to: folder("out.gguf"), replaces: false, "exists")
        #expect(Files.read(folder("out.gguf")) == Array("old".utf8))
        try CheckpointWriter(replaces: true, threads: 1).write(OutputPlan(checkpoint), to: folder("out.gguf"))
        #expect(Files.read(folder("out.gguf")) == Files.read(folder("in.gguf")))
        #expect(folder.names == ["in.gguf", "out.gguf"])
    }

    @Test("an output that is an input is refused, through links and folders too")
    func inputs() throws {
        let folder = TemporaryFolder()
        let checkpoint = try WriterTests.source(folder)
        let before = Files.read(folder("in.gguf"))
        Files.hardLink(folder("hard.gguf"), to: folder("in.gguf"))
        Files.symbolicLink(folder("soft.gguf"), to: folder("in.gguf"))
        Files.symbolicLink(folder("loop"), to: folder.path)
        for name in ["in.gguf", "hard.gguf", "soft.gguf", "loop/in.gguf", "./in.gguf"] {
            WriterTests.expectFailure(checkpoint, to: folder(name), "is the input")
        }
        #expect(Files.read(folder("in.gguf")) == before)
        #expect(folder.names == ["hard.gguf", "in.gguf", "loop", "soft.gguf"])
    }

    @Test("an HF folder is not written over itself, nor over one of its files")
    func inputFolder() throws {
        let folder = TemporaryFolder()
        folder.makeFolder("m")
        folder.write("m/model.safetensors", SafetensorsTests.small.bytes)
        folder.write("m/config.json", #"{"num_hidden_layers":2}"#)
        var checkpoint = try Checkpoint.open(folder("m"))
        WriterTests.expectFailure(checkpoint, to: folder("m"), "is the input")
        WriterTests.expectFailure(checkpoint, to: folder("m/"), "is the input")
        checkpoint.container = .safetensors(header: nil)
        WriterTests.expectFailure(checkpoint, to: folder("m/model.safetensors"), "is the input")
        #expect(Files.names(folder("m")) == ["config.json", "model.safetensors"])
    }

    @Test("a folder is replaced as a whole, and only when it holds a checkpoint")
    func folders() throws {
        let folder = TemporaryFolder()
        folder.makeFolder("m")
        folder.write("m/model.safetensors", SafetensorsTests.small.bytes)
        folder.write("m/config.json", #"{"num_hidden_layers":2}"#)
        let checkpoint = try Checkpoint.open(folder("m"))
        let writer = CheckpointWriter(replaces: true, threads: 1)
        try writer.write(OutputPlan(checkpoint), to: folder("out/"))
        folder.write("out/stale.safetensors", [1])
        try writer.write(OutputPlan(checkpoint), to: folder("out"))
        #expect(Files.names(folder("out")) == ["config.json", "model.safetensors"])
        folder.makeFolder("mine")
        folder.write("mine/letter.txt", "dear")
        WriterTests.expectFailure(checkpoint, to: folder("mine"), "with other contents than a checkpoint")
        folder.makeFolder("out/inner")
        folder.write("out/inner/letter.txt", "dear")
        WriterTests.expectFailure(
            checkpoint, to: folder("out"), "with other contents than a checkpoint: inner/letter.txt")
        try writer.write(OutputPlan(checkpoint), to: folder("other"))
        folder.write("other/thesis.docx", "dear")
        WriterTests.expectFailure(checkpoint, to: folder("other"), "with other contents than a checkpoint: thesis.docx")
        WriterTests.expectFailure(checkpoint, to: folder.write("file", "x"), "is a file; the output is a folder")
        #expect(folder.names == ["file", "m", "mine", "other", "out"])
    }

    @Test("a failure on the way leaves the old output and nothing else", arguments: [0, 150, 299])
    func failure(row: Int) throws {
        let folder = TemporaryFolder()
        let checkpoint = try WriterTests.computed(folder, failing: row)
        folder.write("out.gguf", "old")
        WriterTests.expectFailure(checkpoint, to: folder("out.gguf"), "fails at row \(row)")
        #expect(folder.names == ["in.gguf", "out.gguf"])
        #expect(Files.read(folder("out.gguf")) == Array("old".utf8))
    }

    @Test("an output that contradicts its own configuration is not kept")
    func inconsistent() throws {
        let folder = TemporaryFolder()
        var checkpoint = try WriterTests.source(folder)
        checkpoint.metadata["toy.block_count"] = .u32(3)
        WriterTests.expectFailure(
            checkpoint, to: folder("out.gguf"), "toy.block_count is 3; the tensors have 2 layers")
        checkpoint.metadata["toy.block_count"] = .u32(2)
        checkpoint.metadata["toy.attention.head_count"] = .array(elementType: 4, [.u32(1)])
        WriterTests.expectFailure(checkpoint, to: folder("out.gguf"), "the length of toy.attention.head_count is 1")
        #expect(folder.names == ["in.gguf"])
    }

    /// A model with two tensors of `count` bytes that is larger than its file, and the bytes at both ends of each.
    private static func sparse(_ folder: TemporaryFolder, count: Int) throws -> Checkpoint {
        let header =
            #"{"a.0.w":{"dtype":"U8","shape":[\#(count)],"data_offsets":[0,\#(count)]},"#
            + #""a.1.w":{"dtype":"U8","shape":[\#(count)],"data_offsets":[\#(count),\#(2 * count)]}}"#
        let file = SafetensorsBytes(header: header, data: [])
        let path = folder.write("in.safetensors", file.bytes)
        Files.truncate(path, file.bytes.count + 2 * count)
        return try Checkpoint.open(path)
    }

    @Test("a full disk is found before the first byte")
    func fullDisk() throws {
        let folder = TemporaryFolder()
        var checkpoint = try WriterTests.source(folder)
        let free = try #require(FileSystem.freeByteCount(at: folder.path))
        let rows = free / 4096 + (1 << 20)
        checkpoint.tensors.append(
            Tensor(
                name: "made", dtype: .f32, shape: [rows, 1024],
                recipe: .computed(CountedRows(rowByteCount: 4096))))
        let plan = try OutputPlan(checkpoint)
        WriterTests.expectFailure(checkpoint, to: folder("out.gguf"), "; the disk has ")
        #expect(plan.byteCount > free)
        #expect(folder.names == ["in.gguf"])
    }

    @Test("holes of an input stay holes, whatever the disk has")
    func holes() throws {
        let folder = TemporaryFolder()
        let free = try #require(FileSystem.freeByteCount(at: folder.path))
        var checkpoint = try WriterTests.sparse(folder, count: (free + (4 << 30)) / 4096 * 4096)
        checkpoint.tensors.removeLast()
        let out = folder("out.safetensors")
        let written = try CheckpointWriter(threads: 2).write(OutputPlan(checkpoint), to: out)
        #expect(written.byteCount == checkpoint.byteCount)
        #expect(Files.allocatedByteCount(out) <= 64 << 10)
    }

    @Test("what lies between holes is copied")
    func betweenHoles() throws {
        let folder = TemporaryFolder()
        var checkpoint = try WriterTests.sparse(folder, count: 1 << 20)
        let places = [0, 5000, 1 << 19, (1 << 20) - 1, 1 << 20, (1 << 20) + 4096, (2 << 20) - 1]
        let start = try #require(checkpoint.tensors[0].recipe.mappedRange?.byteOffset)
        for index in places { Files.overwrite(checkpoint.path, at: start + index, [UInt8(index % 251) + 1]) }
        checkpoint = try Checkpoint.open(checkpoint.path)
        // In the other order, so that nothing lies where it was.
        checkpoint.tensors[0].name = "a.2.w"
        checkpoint.tensors.swapAt(0, 1)
        let written = try CheckpointWriter(threads: 2).write(OutputPlan(checkpoint), to: folder("out.safetensors"))
        #expect(try Contents(written) == Contents(checkpoint))
        #expect(Files.allocatedByteCount(written.path) < 256 << 10)
    }

    @Test("outputs that cannot be are refused with a reason")
    func impossible() throws {
        let folder = TemporaryFolder()
        let checkpoint = try WriterTests.source(folder)
        WriterTests.expectFailure(checkpoint, to: "/dev/null", "is a device or a pipe, not a file")
        Files.fifo(folder("fifo"))
        WriterTests.expectFailure(checkpoint, to: folder("fifo"), "is a device or a pipe, not a file")
        WriterTests.expectFailure(checkpoint, to: folder("no/out.gguf"), "no: is not a folder")
        folder.makeFolder("sub")
        WriterTests.expectFailure(checkpoint, to: folder("sub"), "is a folder")
        var safetensors = checkpoint
        safetensors.container = .safetensors(header: nil)
        WriterTests.expectFailure(
            safetensors, to: folder("x.safetensors"),
            "tensor 'blk.1.w' has the type Q8_0, which safetensors cannot store")
        var nameless = checkpoint
        nameless.metadata["general.architecture"] = nil
        WriterTests.expectFailure(nameless, to: folder("x.gguf"), "has no general.architecture")
        var long = checkpoint
        long.tensors[0].name = String(repeating: "n", count: 64)
        WriterTests.expectFailure(long, to: folder("x.gguf"), "has a name of 64 bytes; GGUF allows at most 63")
        #expect(folder.names == ["fifo", "in.gguf", "sub"])
    }

    @Test("a link that leads nowhere is neither replaced nor followed")
    func danglingLink() throws {
        let folder = TemporaryFolder()
        let checkpoint = try WriterTests.source(folder)
        Files.symbolicLink(folder("out.gguf"), to: folder("elsewhere.gguf"))
        WriterTests.expectFailure(
            checkpoint, to: folder("out.gguf"), "is a link to '\(folder("elsewhere.gguf"))', which does not exist")
        #expect(folder.names == ["in.gguf", "out.gguf"])
        Files.write(folder("elsewhere.gguf"), [1])
        #expect(Files.read(folder("out.gguf")) == [1], "the link is still there")
    }

    @Test("an input that became shorter is an error, and leaves nothing")
    func shortened() throws {
        let folder = TemporaryFolder()
        let file = SafetensorsBytes([
            (name: "a.0.w", dtype: "U8", shape: [1 << 20], data: Array(repeating: 7, count: 1 << 20))
        ])
        let checkpoint = try Checkpoint.open(folder.write("in.safetensors", file.bytes))
        Files.truncate(folder("in.safetensors"), 1000)
        WriterTests.expectFailure(checkpoint, to: folder("out.safetensors"), "in.safetensors: ")
        #expect(folder.names == ["in.safetensors"])
    }

    @Test("an input that was changed meanwhile is an error, and leaves nothing")
    func changed() throws {
        let folder = TemporaryFolder()
        let checkpoint = try WriterTests.source(folder)
        folder.write("in.gguf", GGUFTests.small.bytes + [0])
        WriterTests.expectFailure(checkpoint, to: folder("out.gguf"), "in.gguf: was changed while it was read")
        #expect(folder.names == ["in.gguf"])
    }

    @Test(
        "the form follows the name of the output",
        arguments: [
            ("x.gguf", Checkpoint.Form.gguf), ("x.safetensors", .safetensors), ("x", .folder), ("gguf", .folder),
            ("a.gguf/b", .folder),
        ])
    func forms(path: String, form: Checkpoint.Form) { #expect(OutputPlan.form(ofPath: path) == form) }
}
