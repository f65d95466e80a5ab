import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("GGUF")
struct GGUFTests {
    static let architecture: (key: String, value: GGUFBytes.Value) = ("general.architecture", .text("toy"))

    /// A file with a value of every type, and tensors of several.
    static var small: GGUFBytes {
        let scalars: [(key: String, value: GGUFBytes.Value)] = [
            ("t.u8", .init(type: 0, bytes: [200])), ("t.i8", .init(type: 1, bytes: [0x80])),
            ("t.u16", .init(type: 2, bytes: [1, 2])), ("t.i16", .init(type: 3, bytes: [0, 0x80])),
            ("t.u32", .u32(7)), ("t.i32", .init(type: 5, bytes: littleEndian(Int32.min))), ("t.f32", .f32(.nan)),
            ("t.bool", .bool(true)), ("t.text", .text("é\n\u{0}")),
            ("t.u64", .init(type: 10, bytes: littleEndian(UInt64.max))),
            ("t.i64", .init(type: 11, bytes: littleEndian(Int64.min))),
            ("t.f64", .init(type: 12, bytes: littleEndian(Double.pi.bitPattern))),
        ]
        let arrays = scalars.map {
            (key: $0.key + ".list", value: GGUFBytes.Value.array($0.value.type, [$0.value, $0.value]))
        }
        let empty = (key: "t.empty", value: GGUFBytes.Value.array(5, []))
        return GGUFBytes(
            [architecture, ("toy.block_count", .u32(2))] + scalars + arrays + [empty],
            [
                .init("blk.0.w", shape: [2, 3], data: littleEndian([1, 2, 3, 4, 5, 6])),
                .init("blk.1.w", type: 8, shape: [2, 32], data: Array(repeating: 5, count: 68)),
                .init("blk.0.b", type: 30, shape: [1, 1, 1, 5], data: Array(0..<10)),
            ])
    }

    @Test("names, types, shapes, values and bytes are read in file order", arguments: [2, 3] as [UInt32])
    func reading(version: UInt32) throws {
        let folder = TemporaryFolder()
        var file = GGUFTests.small
        file.version = version
        let checkpoint = try Checkpoint.open(folder.write("x.gguf", file.bytes))
        #expect(
            try Contents(checkpoint).tensors
                == ["blk.0.w F32 [2, 3]", "blk.1.w Q8_0 [2, 32]", "blk.0.b BF16 [1, 1, 1, 5]"])
        #expect(try Contents(checkpoint).bytes == file.tensors.map(\.data))
        #expect(checkpoint.metadata.pairs.map(\.key) == file.pairs.map(\.key))
        #expect(checkpoint.metadata["t.u8"] == .u8(200))
        #expect(checkpoint.metadata["t.i16"]?.int == -32_768)
        #expect(checkpoint.metadata["t.u64"]?.int == nil)
        #expect(checkpoint.metadata["t.text"]?.string == "é\n\u{0}")
        #expect(checkpoint.metadata["t.f64.list"] == .array(elementType: 12, [.f64(.pi), .f64(.pi)]))
        #expect(checkpoint.metadata["t.empty"] == .array(elementType: 5, []))
        #expect(checkpoint.architectureName == "toy")
        #expect(checkpoint.layerCount == 2)
    }

    @Test("a file that is read and written is the same, byte for byte", arguments: [1, 8, 32, 64, 4096])
    func roundTrip(alignment: Int) throws {
        let folder = TemporaryFolder()
        var file = GGUFTests.small
        if alignment != 32 { file.pairs.append(("general.alignment", .u32(UInt32(alignment)))) }
        file.alignment = alignment
        let checkpoint = try Checkpoint.open(folder.write("a.gguf", file.bytes))
        try CheckpointWriter(threads: 2).write(OutputPlan(checkpoint), to: folder("b.gguf"))
        #expect(Files.read(folder("b.gguf")) == file.bytes)
    }

    @Test("a llama with a router of experts is Mixtral, whatever its keys say")
    func experts() throws {
        let folder = TemporaryFolder()
        let pairs: [(key: String, value: GGUFBytes.Value)] = [
            ("general.architecture", .text("llama")), ("llama.expert_count", .u32(8)),
        ]
        func name(_ tensor: String) throws -> String? {
            let file = GGUFBytes(pairs, [.init(tensor, shape: [1], data: [0, 0, 0, 0])])
            return try Checkpoint.open(folder.write("a.gguf", file.bytes)).architecture?.name
        }
        #expect(try name("blk.0.ffn_gate.weight") == "llama")
        #expect(try name("blk.11.ffn_gate_inp.weight") == "mixtral")
    }

    @Test("files without pairs, without tensors and with empty tensors are read")
    func empty() throws {
        let folder = TemporaryFolder()
        let nothing = try Checkpoint.open(folder.write("a.gguf", GGUFBytes([]).header))
        #expect(nothing.tensors.isEmpty && nothing.metadata.pairs.isEmpty)
        let tensors: [GGUFBytes.Tensor] = [
            .init("one", shape: [1], data: [1, 2, 3, 4]), .init("none", shape: [3, 0], data: []),
            .init("more", type: 8, shape: [1 << 40, 0, 32], data: []), .init("scalar", shape: [], data: [5, 6, 7, 8]),
        ]
        let file = GGUFBytes([GGUFTests.architecture], tensors)
        let checkpoint = try Checkpoint.open(folder.write("b.gguf", file.bytes))
        #expect(try Contents(checkpoint).bytes == tensors.map(\.data))
        try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint), to: folder("c.gguf"))
        #expect(Files.read(folder("c.gguf")) == file.bytes)
    }

    @Test("a last tensor without padding is read")
    func unpadded() throws {
        let folder = TemporaryFolder()
        let file = GGUFBytes([GGUFTests.architecture], [.init("a.0.b", shape: [1], data: [1, 2, 3, 4])])
        let checkpoint = try Checkpoint.open(folder.write("a.gguf", Array(file.bytes.dropLast(28))))
        #expect(try Contents(checkpoint).bytes == [[1, 2, 3, 4]])
    }

    @Test("setting a pair keeps its place, and nil removes it")
    func editing() {
        var metadata = GGUFMetadata()
        metadata["a"] = .u32(1)
        metadata["b"] = .u32(2)
        metadata["a"] = .bool(true)
        metadata["c"] = .string("x")
        metadata["b"] = nil
        #expect(metadata.pairs.map(\.key) == ["a", "c"])
        #expect(metadata["a"] == .bool(true))
    }

    // MARK: hostile files

    private static func pair(_ key: String, _ value: GGUFBytes.Value) -> [UInt8] {
        GGUFBytes([architecture, (key, value)]).bytes
    }

    private static func tensor(_ tensors: GGUFBytes.Tensor...) -> [UInt8] { GGUFBytes([architecture], tensors).bytes }

    private static func with(_ change: (inout GGUFBytes) -> Void) -> [UInt8] {
        var file = small
        change(&file)
        return file.bytes
    }

    private static let hugeText = GGUFBytes.Value(type: 8, bytes: littleEndian(UInt64.max) + Array("x".utf8))

    private static let keyTooLong =
        GGUFBytes([]).header[..<16] + littleEndian(UInt64(1)) + littleEndian(UInt64(1) << 33)
        + Array(repeating: 0, count: 32)

    static let hostile: [Hostile] = [
        Hostile("the magic number alone", Array("GGUF".utf8), "the version needs 4 bytes; the file has 0 more"),
        Hostile("version 1", with { $0.version = 1 }, "is GGUF version 1"),
        Hostile("version 4", with { $0.version = 4 }, "is GGUF version 4"),
        Hostile("version 0", with { $0.version = 0 }, "is GGUF version 0"),
        Hostile("version 4 of a big-endian file", with { $0.version = UInt32(4).byteSwapped }, "is GGUF version 4"),
        Hostile(
            "a little-endian file that says it is big-endian", with { $0.version = UInt32(3).byteSwapped },
            "more than the file can hold"),
        Hostile(
            "a magic number of another file", Array("GGUG".utf8) + Array(small.bytes[4...]),
            "is not a safetensors, GGUF or PyTorch file"),
        Hostile("a key of no bytes", pair("", .u32(1)), "a key has no name"),
        Hostile(
            "dimensions whose product wraps before a dimension of 0",
            tensor(.init("a", shape: [0, 1 << 32, 1 << 32], data: [])), "cannot have the shape"),
        Hostile(
            "more tensors than bytes", with { $0.claimedTensors = 1 << 20 },
            "the tensor count is 1,048,576, more than the file can hold"),
        Hostile("2^64 - 1 tensors", with { $0.claimedTensors = .max }, "more than the file can hold"),
        Hostile(
            "more pairs than bytes", with { $0.claimedPairs = 1 << 40 },
            "the number of pairs is 1,099,511,627,776, more than the file can hold"),
        Hostile(
            "one pair too many", with { $0.claimedPairs = UInt64($0.pairs.count + 1) }, "more than the file can hold"),
        Hostile(
            "a key longer than the file", keyTooLong,
            "the length of a key is 8,589,934,592, more than the file can hold (at byte 32)"),
        Hostile(
            "a text longer than the file", pair("k", hugeText),
            "the length of the value of 'k' is 18,446,744,073,709,551,615, more than the file can hold"),
        Hostile(
            "a text that is not UTF-8", pair("k", .init(type: 8, bytes: littleEndian(UInt64(2)) + [0xC3, 0x28])),
            "the value of 'k' is not UTF-8"),
        Hostile(
            "a value of unknown type", pair("k", .init(type: 13, bytes: [0, 0, 0, 0])),
            "'k' has a value of unknown type 13"),
        Hostile(
            "an array of unknown type",
            pair("k", .init(type: 9, bytes: littleEndian(UInt32(77)) + littleEndian(UInt64(0)))),
            "the array 'k' has elements of unknown type 77"),
        Hostile(
            "an array in an array", pair("k", .array(9, [.array(4, [.u32(1)])])),
            "the array 'k' contains arrays, which no runtime reads"
        ),
        Hostile(
            "an array longer than the file",
            pair("k", .init(type: 9, bytes: littleEndian(UInt32(12)) + littleEndian(UInt64.max / 8))),
            "the length of 'k' is"),
        Hostile(
            "an array of texts that end early",
            pair(
                "k",
                .init(
                    type: 9,
                    bytes: littleEndian(UInt32(8)) + littleEndian(UInt64(2)) + GGUFBytes.text("a")
                        + littleEndian(UInt64(99)))), "the length of the value of 'k' is 99"),
        Hostile(
            "a key twice", GGUFBytes([architecture, architecture]).bytes, "the key 'general.architecture' occurs twice"),
        Hostile("alignment 0", pair("general.alignment", .u32(0)), "general.alignment is"),
        Hostile("alignment 3", pair("general.alignment", .u32(3)), "not a power of two of the type u32"),
        Hostile("alignment as text", pair("general.alignment", .text("32")), "not a power of two of the type u32"),
        Hostile(
            "alignment in 64 bits", pair("general.alignment", .init(type: 10, bytes: littleEndian(UInt64(32)))),
            "not a power of two of the type u32"),
        Hostile(
            "alignment 2^31",
            GGUFBytes([("general.alignment", .u32(1 << 31))], [.init("a.0.w", shape: [1], data: [1, 2, 3, 4])]).bytes,
            "the data would begin at byte 2,147,483,648; the file has 128"),
        Hostile(
            "a name twice",
            tensor(.init("a", shape: [1], data: [0, 0, 0, 0]), .init("a", shape: [1], data: [0, 0, 0, 0])),
            "tensor 'a' occurs twice"),
        Hostile(
            "a name of 64 bytes", tensor(.init(String(repeating: "n", count: 64), shape: [1], data: [0, 0, 0, 0])),
            "has a name of 64 bytes; at most 63 are allowed"),
        Hostile(
            "five dimensions", tensor(.init("a", shape: [1, 1, 1, 1, 1], data: [0, 0, 0, 0])),
            "has 5 dimensions; at most 4 are allowed"),
        Hostile(
            "a type that ggml took back",
            tensor(.init("a", type: 4, shape: [32], data: Array(repeating: 0, count: 20))), "has the unknown type 4"),
        Hostile(
            "a type that was never", tensor(.init("a", type: .max, shape: [32], data: [])),
            "has the unknown type 4294967295"),
        Hostile(
            "a dimension beyond 63 bits", tensor(.init("a", shape: [.max], data: [])),
            "has a dimension of 18,446,744,073,709,551,615"),
        Hostile(
            "dimensions whose product wraps", tensor(.init("a", shape: [1 << 32, 1 << 32], data: [])),
            "of type F32 cannot have the shape"),
        Hostile(
            "elements that fit and bytes that do not", tensor(.init("a", shape: [1 << 62], data: [])),
            "of type F32 cannot have the shape"),
        Hostile(
            "a row size that wraps before its division",
            tensor(.init("a", type: 12, shape: [(1 << 57) * 3, 256], data: [])), "cannot have the shape"),
        Hostile(
            "rows that blocks do not divide",
            tensor(.init("a", type: 8, shape: [2, 16], data: Array(repeating: 0, count: 34))),
            "of type Q8_0 cannot have the shape [2, 16]"),
        Hostile(
            "bytes that wrap with their padding", tensor(.init("a", type: 24, shape: [UInt64(Int.max)], data: [])),
            "needs 9,223,372,036,854,775,807 bytes at offset"),
        Hostile(
            "sizes whose sum wraps",
            tensor(
                .init("a", type: 24, shape: [1 << 62], data: []),
                .init("b", type: 24, shape: [1 << 62], data: [], claimedOffset: 1 << 62),
                .init("c", type: 24, shape: [1 << 62], data: [], claimedOffset: 1 << 63)),
            "tensor 'a' needs 4,611,686,018,427,387,904 bytes at offset"),
        Hostile(
            "offsets of another alignment than the file's",
            GGUFBytes(
                [architecture, ("general.alignment", .u32(64))],
                [.init("a", shape: [1], data: [0, 0, 0, 0]), .init("b", shape: [1], data: [0, 0, 0, 0])]
            ).bytes, "tensor 'b' is at offset 32 of the data; expected 64"),
        Hostile(
            "data that would begin behind the end",
            Array(GGUFBytes([architecture], [.init("a", shape: [0], data: [])]).header), "the data would begin at byte"),
        Hostile(
            "a tensor beyond the file", tensor(.init("a", shape: [100], data: [0, 0, 0, 0])),
            "needs 400 bytes at offset"),
        Hostile(
            "an offset that is not the next",
            tensor(
                .init("a", shape: [1], data: [0, 0, 0, 0]),
                .init("b", shape: [1], data: [0, 0, 0, 0], claimedOffset: 64)),
            "tensor 'b' is at offset 64 of the data; expected 32"),
        Hostile(
            "an offset that wraps", tensor(.init("a", shape: [1], data: [0, 0, 0, 0], claimedOffset: .max - 31)),
            "of the data; expected"),
        Hostile(
            "two tensors in one place",
            tensor(
                .init("a", shape: [1], data: [0, 0, 0, 0]),
                .init("b", shape: [1], data: [0, 0, 0, 0], claimedOffset: 0)),
            "tensor 'b' is at offset 0 of the data; expected 32"),
    ]

    @Test("a file that lies is refused, with the reason", arguments: hostile)
    func refused(file: Hostile) { file.expectRefusal(fileName: "a.gguf") }

    @Test("a file that is cut anywhere in its header is refused")
    func truncation() {
        let folder = TemporaryFolder()
        let file = GGUFTests.small
        for count in 0..<file.header.count {
            let path = folder.write("cut.gguf", Array(file.bytes[..<count]))
            #expect(throws: CheckpointError.self, "\(count) bytes") { try Checkpoint.open(path) }
        }
    }

    @Test("no change of one byte of a header does harm", arguments: 1...3)
    func mutation(seed: UInt64) {
        let folder = TemporaryFolder()
        let file = GGUFTests.small
        var generator = SeededGenerator(seed: seed)
        for index in 0..<file.header.count {
            var changed = file.bytes
            changed[index] = UInt8.random(in: 0...255, using: &generator)
            do {
                let checkpoint = try Checkpoint.open(folder.write("m.gguf", changed))
                _ = try Contents(checkpoint)
                try checkpoint.checkConsistency()
            } catch {
                #expect(error is CheckpointError)
            }
        }
    }

    @Test("100,000 pairs take no quadratic time")
    func manyPairs() throws {
        let folder = TemporaryFolder()
        let file = GGUFBytes([GGUFTests.architecture] + (0..<100_000).map { ("key.\($0)", .bool(true)) })
        let path = folder.write("many.gguf", file.bytes)
        let time = try ContinuousClock().measure {
            let count = try Checkpoint.open(path).metadata.pairs.count
            #expect(count == 100_001)
        }
        #expect(time < .seconds(20))
    }
}

/// What a GGUF file may take in memory: values are larger there than in the file.
@Suite("memory of GGUF metadata")
struct GGUFMemoryTests {
    private static func open(_ type: UInt32, count: Int, unit: Int) -> (TemporaryFolder, path: String) {
        let value = GGUFBytes.Value(type: 9, bytes: littleEndian(type) + littleEndian(UInt64(count)))
        let file = GGUFBytes([("general.architecture", .text("toy")), ("k", value)])
        let folder = TemporaryFolder()
        let path = folder.write("a.gguf", file.bytes)
        Files.truncate(path, file.header.count + count * unit)
        return (folder, path)
    }

    @Test("an array that would take many times the file's size is refused", arguments: [(0, 1), (7, 1), (8, 8)])
    func refused(type: UInt32, unit: Int) {
        let (folder, path) = GGUFMemoryTests.open(type, count: 80_000_000, unit: unit)
        withExtendedLifetime(folder) {
            let size = unit == 1 ? "80,000,0" : "640,000,0"
            expectFailure(opening: path, "the array 'k' takes more memory than a file of \(size)")
        }
    }

    @Test("an array as long as the largest vocabularies is read")
    func read() throws {
        let (folder, path) = GGUFMemoryTests.open(4, count: 1_000_000, unit: 4)
        let checkpoint = try withExtendedLifetime(folder) { try Checkpoint.open(path) }
        #expect(checkpoint.metadata["k"]?.array?.count == 1_000_000)
    }
}
