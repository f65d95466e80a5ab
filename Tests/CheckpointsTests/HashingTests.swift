import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("hashing")
struct HashingTests {
    /// Bytes `i * 7 % 251`, so many, with what xxhsum 0.8.1 prints for them: `xxhsum -H2`, `xxhsum -H1`.
    static let known: [(count: Int, xxh3: String, xxh64: String)] = [
        (0, "99aa06d3014798d86001c324468d497f", "ef46db3751d8e999"),
        (1, "a6cd5e9392000f6ac44bdff4074eecdb", "e934a84adb052768"),
        (3, "656e81c56e41fe02c3489259e968ad9e", "9ff70a635a6209ab"),
        (16, "ddf6c1254d70f76794eaa17b20756f46", "ed1dd2fac0a31fbc"),
        (17, "263f67af63088041735fe434ded90c3c", "758409c57cd5d0a2"),
        (128, "381610c474b8adfb2dfb73305de1f91a", "e38758142bfbd3d3"),
        (129, "4e05eed4427255d51f8b5092c9ba3be8", "84f3d83313abadfb"),
        (240, "17ffe035d71c1ec8e6bf81617aad6c4a", "6396302505949ec4"),
        (241, "29bc1e9cffb6d79bc614c8c3575348c1", "5bde0c381d08ef08"),
        (1024, "07fe8eadab1cf098f22ef3dc84ff47ea", "5a7f2765f8999b01"),
        (300_000, "173e6dc9aee9fff9fc0f7694d76899d1", "a3b7dba5bfd18bf0"),
    ]

    private static func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8($0 * 7 % 251) } }

    private static func file(
        _ folder: TemporaryFolder, _ name: String, _ tensors: [(name: String, data: [UInt8])]
    ) throws -> Checkpoint {
        let file = SafetensorsBytes(tensors.map { ($0.name, "U8", [$0.data.count], $0.data) })
        return try Checkpoint.open(folder.write(name, file.bytes))
    }

    @Test("a tensor has the hash that xxhsum gives its bytes", arguments: known.map(\.count))
    func knownAnswers(count: Int) throws {
        let folder = TemporaryFolder()
        let answer = try #require(HashingTests.known.first { $0.count == count })
        let checkpoint = try HashingTests.file(folder, "a.safetensors", [("t", HashingTests.bytes(count))])
        let wide = try Manifest(checkpoint, threads: 1)
        #expect(wide.entries.map(\.digest.description) == [answer.xxh3])
        let narrow = try Manifest(checkpoint, algorithm: .xxh64, threads: 1)
        #expect(narrow.entries.map(\.digest.description) == [answer.xxh64])
        #expect(narrow.total.description == answer.xxh64)
    }

    @Test("the total of XXH64 is that of all bytes in the order of the file")
    func wholeOfParts() throws {
        let folder = TemporaryFolder()
        let all = HashingTests.bytes(300_000)
        let parts = [("z", Array(all[..<70_000])), ("a", Array(all[70_000..<70_001])), ("m", Array(all[70_001...]))]
        let checkpoint = try HashingTests.file(folder, "a.safetensors", parts)
        for threads in 1...4 {
            let total = try Manifest(checkpoint, algorithm: .xxh64, threads: threads).total
            #expect(total.description == HashingTests.known.last?.xxh64)
        }
    }

    @Test("the total of XXH3 is the hash of the lines that the manual describes")
    func total() throws {
        let folder = TemporaryFolder()
        let checkpoint = try HashingTests.file(folder, "a.safetensors", [("b", [1, 2, 3]), ("a", [])])
        let found = try Manifest(checkpoint, threads: 1)
        let lines =
            "99aa06d3014798d86001c324468d497f U8 0 1 a\n\(found.entries[0].digest) U8 3 1 b\n"
        let text = try HashingTests.file(folder, "lines.safetensors", [("lines", Array(lines.utf8))])
        #expect(try Manifest(text, threads: 1).entries[0].digest == found.total)
    }

    @Test("hashes do not depend on the number of threads, nor the total on the order in the file")
    func threadsAndOrder() throws {
        let model = try Checkpoint.open(Fixture.model)
        let expected = try Manifest(model, threads: 1)
        for threads in [2, 3, 7] { #expect(try Manifest(model, threads: threads) == expected) }
        var shuffled = model
        var generator = SeededGenerator(seed: 5)
        shuffled.tensors.shuffle(using: &generator)
        let other = try Manifest(shuffled, threads: 2)
        #expect(other != expected)
        #expect(other.total == expected.total)
    }

    @Test("a name, a type, a shape or a byte makes another total")
    func sensitive() throws {
        let folder = TemporaryFolder()
        let variants: [(String, String, [Int], [UInt8])] = [
            ("t", "U8", [4], [1, 2, 3, 4]), ("u", "U8", [4], [1, 2, 3, 4]), ("t", "BF16", [2], [1, 2, 3, 4]),
            ("t", "F16", [2], [1, 2, 3, 4]), ("t", "U8", [2, 2], [1, 2, 3, 4]), ("t", "U8", [1, 4], [1, 2, 3, 4]),
            ("t", "U8", [4], [1, 2, 3, 5]), ("e\u{301}", "U8", [4], [1, 2, 3, 4]), ("\u{E9}", "U8", [4], [1, 2, 3, 4]),
        ]
        let totals = try variants.enumerated().map { index, variant in
            let file = SafetensorsBytes([(variant.0, variant.1, variant.2, variant.3)])
            return try Manifest(Checkpoint.open(folder.write("\(index).safetensors", file.bytes)), threads: 1).total
        }
        #expect(Set(totals).count == variants.count)
    }

    @Test("a checkpoint that nobody has written has the hashes of the written one", arguments: 1...6)
    func virtual(seed: UInt64) throws {
        let folder = TemporaryFolder()
        var generator = SeededGenerator(seed: seed)
        var checkpoint = try Checkpoint.open(folder.write("in.gguf", GGUFTests.small.bytes))
        for number in 0..<3 {
            let heads = Int.random(in: 1...6, using: &generator)
            let shape = [heads * 16, Int.random(in: 1...9000, using: &generator)]
            var tensor = Tensor(
                name: "made.\(number)", dtype: .f16, shape: shape,
                recipe: .computed(CountedRows(rowByteCount: 2 * shape[1])))
            if number > 0 { tensor.recipe = .rows(tensor.recipe, .neighbours(heads: heads, headSize: 16)) }
            checkpoint.tensors.append(tensor)
        }
        let written = try CheckpointWriter(threads: 2).write(OutputPlan(checkpoint), to: folder("out.gguf"))
        for algorithm in HashAlgorithm.allCases {
            let planned = try Manifest(checkpoint, algorithm: algorithm, threads: 2)
            #expect(try Manifest(written, algorithm: algorithm, threads: 1) == planned)
        }
    }

    @Test("a row that fails, and a file that became shorter, are errors")
    func failures() throws {
        let folder = TemporaryFolder()
        var checkpoint = try HashingTests.file(folder, "a.safetensors", [("t", HashingTests.bytes(500_000))])
        Files.truncate(folder("a.safetensors"), 400_000)
        expect(#expect(throws: CheckpointError.self) { try Manifest(checkpoint, threads: 2) }, "became shorter")
        checkpoint.tensors = [
            Tensor(
                name: "t", dtype: .f16, shape: [40, 4],
                recipe: .computed(CountedRows(rowByteCount: 8, failing: 31)))
        ]
        expect(#expect(throws: CheckpointError.self) { try Manifest(checkpoint, threads: 2) }, "fails at row 31")
    }
}
