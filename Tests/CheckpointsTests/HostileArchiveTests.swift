import Checkpoints
import TestSupport
import Testing

/// Archives that lie: each is refused for its own reason, and nothing is written.
@Suite("hostile archives")
struct HostileArchiveTests {
    static let contents = SafetensorsBytes([("a", "U8", [4], [1, 2, 3, 4])]).bytes
    static let right = ArchiveBytes.small(contents)
    static let count = UInt64(contents.count)

    private static func lie(_ name: String, _ message: String, _ change: (inout ArchiveBytes) -> Void) -> Hostile {
        var archive = right
        change(&archive)
        return Hostile(name, archive.bytes, message)
    }

    private static func name(_ name: String, _ bytes: [UInt8], _ message: String) -> Hostile {
        lie(name, message) { $0.files[0].name = bytes }
    }

    /// A path in an archive of a folder.
    private static func path(_ name: String, _ path: String, _ message: String) -> Hostile {
        lie(name, message) {
            $0.kind = 1
            $0.files[0].name = Array(path.utf8)
        }
    }

    static let lies: [Hostile] = [
        lie("another version", "is an archive of version 2") { $0.version = 2 },
        lie("an unknown kind", "is of an unknown kind") { $0.kind = 3 },
        lie("no files", "holds 0 files") { $0.files = [] },
        lie("a file of a claimed size", "the spans of 'model.safetensors' have") { $0.files[0].byteCount += 1 },
        lie("a smaller file", "are longer than the file") { $0.files[0].byteCount -= 1 },
        lie("more files than bytes", "more than the index can hold") { $0.claimedFiles = 1 << 40 },
        lie("more layouts than bytes", "more than the index can hold") { $0.claimedLayouts = 1 << 62 },
        lie("more spans than bytes", "more than the index can hold") { $0.files[0].claimedSpans = 1 << 61 },
        lie("a frame too small to be one", "is stored in 8") { $0.files[0].spans[0].pieces[0].planes = [17] },
        lie("pieces beyond reason in sum", "more than the index can hold") { archive in
            archive.files[0].byteCount = 40 << 20
            archive.files[0].spans = [ArchiveBytes.Span](repeating: .init(byteCount: 4 << 20), count: 10)
        },
        lie("more layouts than are read", "at most 256 are read") {
            $0.layouts = .init(repeating: [(1, 0, 1)], count: 257)
        },
        lie("a number of 64 bits", "is not a number") { $0.files[0].byteCount = .max },
        lie("pieces beyond reason", "has 1,099,511,627,776 pieces") {
            $0.files[0].byteCount = 1 << 60
            $0.files[0].spans[0].byteCount = 1 << 60
        },
        lie("sizes whose sum wraps", "a sum that is too large") {
            $0.kind = 1
            let huge = UInt64(Int.max)
            $0.patch = base(byteCount: huge)
            let span = ArchiveBytes.Span(byteCount: huge, use: 1)
            $0.files = ["a", "b"].map { ArchiveBytes.File(name: Array($0.utf8), byteCount: huge, spans: [span]) }
        },
        lie("an empty span", "a span is empty") { $0.files[0].spans.insert(.init(byteCount: 0), at: 0) },
        lie("a layout that is not there", "has the layout 1 of 0") { $0.files[0].spans[0].layout = 1 },
        lie("a layout without fields", "a layout has no fields") { $0.layouts = [[], [], []] },
        lie("a unit of 3", "in elements of 3") { $0.layouts = [[(3, 0, 3)]] },
        lie("a turn of 2", "in elements of 2") { $0.layouts = [[(2, 2, 2)]] },
        lie("a field of nothing", "a field of 0 bytes") { $0.layouts = [[(2, 0, 0)]] },
        lie("half an element", "a field of 3 bytes") { $0.layouts = [[(2, 0, 3)]] },
        lie("a block too large", "a field of 65,537 bytes") { $0.layouts = [[(1, 0, 65_537)]] },
        lie("blocks that are not filled", "does not fill its blocks") {
            $0.layouts = [[(1, 0, 1000)]]
            $0.files[0].spans[0].layout = 1
        },
        lie("neither a patch nor none", "neither a patch nor none") { $0.patch = [2] },
        lie("a tensor of no base", "refers to tensor 0 of 0 of the base") { $0.files[0].spans[0].use = 1 },
        lie("a tensor of another size", "refers to a tensor of 7") {
            $0.patch = base(byteCount: 7)
            $0.files[0].spans[0].use = 2
        },
        lie("a base longer than the index", "more than the index can hold") {
            $0.patch = [1] + [UInt8](repeating: 0, count: 16) + ArchiveBytes.varint(1 << 40)
        },
        lie("a plane larger than it was", "is stored in") { $0.files[0].spans[0].pieces[0].planes = [2 * count + 2] },
        lie("a frame larger than its plane", "is stored in") {
            $0.files[0].spans[0].pieces[0].planes = [2 * count + 1]
        },
        lie("a frame of nothing", "is stored in 0") { $0.files[0].spans[0].pieces[0].planes = [1] },
        lie("pieces that end before the index", "the index begins at") { $0.pieces.append(0) },
        lie("pieces that end behind it", "where the index begins") { $0.pieces.removeLast() },
        lie("bytes behind the index", "1 bytes follow the index") { $0.behindIndex = [0] },
        lie("an index elsewhere", "the trailer states an index of") { $0.claimedOffset = 8 },
        lie("an index beyond the end", "the trailer states an index of") { $0.claimedOffset = .max },
        lie("a longer index", "the trailer states an index of") { $0.claimedCount = 1 << 63 },
        lie("another size", "its trailer states 7") { $0.claimedTotal = 7 },
        lie("a file twice", "the file 'a' occurs twice") {
            $0.kind = 1
            let file = ArchiveBytes.File(name: [0x61], byteCount: 0, spans: [])
            $0.files = [file, file]
        },
        lie("two files as one", "holds 2 files") { $0.files.append(.init(name: [0x61], byteCount: 0, spans: [])) },
        path("a path that leads up", "a/../b", "which is not the name of a file"),
        path("a path with an empty part", "a//b", "which is not the name of a file"),
        path("an absolute path", "/etc/passwd", "which is not the name of a file"),
        path("a path that ends in a slash", "a/", "which is not the name of a file"),
        path("a path too deep", "a/a/a/a/a/a/a/a/a", "which is not the name of a file"),
        lie("a file that is a folder too", "'a' is a file and a folder") {
            $0.kind = 1
            $0.files = ["a", "a/b"].map { ArchiveBytes.File(name: Array($0.utf8), byteCount: 0, spans: []) }
            $0.pieces = []
        },
        name("a name that leads up", Array("..".utf8), "which is not the name of a file"),
        name("a name with a path", Array("../x".utf8), "which is not the name of a file"),
        name("an absolute name", Array("/etc/passwd".utf8), "which is not the name of a file"),
        name("a name with a zero", Array("a\0b".utf8), "which is not the name of a file"),
        name("no name", [], "which is not the name of a file"),
        name("a name too long", [UInt8](repeating: 0x61, count: 256), "which is not the name of a file"),
        name("a name that is not UTF-8", [0xFF], "is not UTF-8"),
        lie("a frame that is none", "a piece of \(count) bytes is damaged") {
            $0.files[0].spans[0].pieces[0].planes = [2 * (count - 1) + 1]
            $0.pieces.removeLast()
        },
        lie("another hash", "a piece of \(count) bytes is damaged") { $0.files[0].spans[0].pieces[0].hash ^= 1 },
    ]

    /// A base of one tensor.
    private static func base(byteCount: UInt64) -> [UInt8] {
        let zeros = [UInt8](repeating: 0, count: 16)
        return [1] + zeros + [1] + ArchiveBytes.text([0x61]) + ArchiveBytes.varint(byteCount) + zeros
    }

    @Test("a lie is refused", arguments: lies)
    func refusal(hostile: Hostile) throws {
        let folder = TemporaryFolder()
        let path = folder.write("x.resect", hostile.bytes)
        expectFailure(opening: path, hostile.message)
        let error = #expect(throws: CheckpointError.self) {
            try ArchiveUnpacker(threads: 2).unpack(path, to: folder("out"))
        }
        // What the base is missing for is said before its sizes are added up.
        if error?.description.contains("patch") == false { expect(error, hostile.message) }
        #expect(folder.names == ["x.resect"])
    }

    @Test("the archive that the lies are made from is right")
    func truth() throws {
        let folder = TemporaryFolder()
        let path = folder.write("x.resect", HostileArchiveTests.right.bytes)
        #expect(try Checkpoint.open(path).tensors.map(\.name) == ["a"])
        try ArchiveUnpacker(threads: 1).unpack(path, to: folder("out"))
        #expect(Files.read(folder("out")) == HostileArchiveTests.contents)
        #expect(throws: Never.self) { try check(HostileArchiveTests.right.bytes) }
    }

    @Test("an archive that ends anywhere before its end is refused")
    func truncation() throws {
        let bytes = HostileArchiveTests.right.bytes
        for count in 0..<bytes.count {
            #expect(throws: CheckpointError.self) { try check(Array(bytes[..<count])) }
        }
    }

    @Test("headers that unpack to more than the archive justifies are refused")
    func memory() throws {
        let folder = TemporaryFolder()
        // Zeros that a small archive holds, as a file of a checkpoint beside its weights.
        let model = folder.makeFolder("model")
        Files.write(model + "/config.json", Array("{}".utf8))
        Files.write(model + "/model.safetensors", HostileArchiveTests.contents)
        for number in 0..<2 {
            Files.write(model + "/\(number).txt", [])
            Files.truncate(model + "/\(number).txt", 40 << 20)
        }
        let path = folder("x.resect")
        try ArchivePacker(threads: 2).pack(try Checkpoint.open(model), to: path)
        // A text is not needed.
        #expect(try Checkpoint.open(path).leftOut == ["1.txt"])
        let header = HostileArchiveTests.contents[8...].prefix { $0 != 0x01 }
        let spaces = SafetensorsBytes(
            header: String(decoding: header, as: UTF8.self) + String(repeating: " ", count: 80 << 20),
            data: [1, 2, 3, 4])
        Files.write(model + "/model.safetensors", spaces.bytes)
        try ArchivePacker(replaces: true, threads: 2).pack(try Checkpoint.open(model), to: path)
        expectFailure(opening: path, "bytes beside its tensors, too many for an archive of")
        try ArchiveUnpacker(threads: 2).unpack(path, to: folder("back"))
        #expect(Files.names(folder("back")) == Files.names(model))
    }

    private func check(_ bytes: [UInt8]) throws {
        let outcome = bytes.withUnsafeBytes { buffer in
            Result { () throws(CheckpointError) in try ArchiveIndex.check(buffer) }
        }
        try outcome.get()
    }
}
