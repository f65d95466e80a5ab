import Checkpoints
import TestSupport
import Testing

@Suite("importance matrices")
struct ImportanceTests {
    /// What llama-imatrix wrote of the fixture: fixtures/importance.
    private static func fixture(_ form: String) throws -> ImportanceMatrix {
        try ImportanceMatrix(path: Fixture.path("importance/matrix.\(form)"))
    }

    @Test("both forms of llama-imatrix are read", arguments: [("gguf", 85), ("dat", 84)])
    func forms(form: String, count: Int) throws {
        let matrix = try ImportanceTests.fixture(form)
        #expect(matrix.count == count)
        #expect(matrix.layerCount == 12)
        #expect(matrix.datasets == ["calibration.txt"])
        #expect(matrix.chunkCount == 2)
        #expect(matrix.entry("blk.11.ffn_down.weight")?.count == 512)
        #expect(matrix.entry("blk.11.attn_q.weight")?.count == 256)
        #expect(matrix.entry("blk.12.attn_q.weight") == nil)
        #expect((matrix.entry("token_embd.weight") != nil) == (form == "gguf"))
    }

    @Test("both forms say the same, but for what the older one rounds")
    func agreement() throws {
        let matrices = try ["gguf", "dat"].map(ImportanceTests.fixture)
        for layer in 0..<12 {
            for name in ["attn_k", "attn_output", "ffn_up", "ffn_down"] {
                let entries = try matrices.map { try #require($0.entry("blk.\(layer).\(name).weight")) }
                let weights = entries.map { $0.weights(0..<$0.count) }
                #expect(weights[0].contains { $0 > 0 })
                #expect(zip(weights[0], weights[1]).allSatisfy { abs($0 - $1) <= 3e-7 * $0 })
            }
        }
    }

    /// Three experts of four columns; the second was never used.
    private static let experts = GGUFBytes(
        [
            ("imatrix.datasets", .array(8, [.text("a.txt"), .text("b.txt")])), ("imatrix.chunk_count", .u32(7)),
            ("imatrix.chunk_size", .u32(512)),
        ],
        [
            .init(
                "blk.0.ffn_up_exps.weight.in_sum2", shape: [3, 4],
                data: littleEndian([2, 4, 6, 8, 0, 0, 0, 0, 1, 2, 3, 5] as [Float])),
            .init("blk.0.ffn_up_exps.weight.counts", shape: [3, 1], data: littleEndian([4, 0, 3] as [Float])),
        ])

    private static func open(_ bytes: [UInt8]) throws -> ImportanceMatrix {
        let folder = TemporaryFolder()
        return try ImportanceMatrix(path: folder.write("m", bytes))
    }

    @Test("every expert is divided by its own count; all columns of one that was not used count the same")
    func counts() throws {
        let matrix = try ImportanceTests.open(ImportanceTests.experts.bytes)
        let entry = try #require(matrix.entry("blk.0.ffn_up_exps.weight"))
        #expect(
            entry.weights(0..<12) == [0.5, 1, 1.5, 2, 1, 1, 1, 1, 1 / 3 as Float, 2 / 3 as Float, 1, 5 / 3 as Float])
        #expect(entry.weights(3..<9) == Array(entry.weights(0..<12)[3..<9]))
        #expect(matrix.datasets == ["a.txt", "b.txt"])
        #expect(matrix.chunkCount == 7)
    }

    @Test("one count holds for all matrices, and is rounded as llama.cpp does")
    func singleCount() throws {
        var file = ImportanceTests.experts
        file.tensors[1] = .init("blk.0.ffn_up_exps.weight.counts", shape: [1], data: littleEndian([2.5] as [Float]))
        let entry = try ImportanceTests.open(file.bytes).entry("blk.0.ffn_up_exps.weight")
        #expect(entry?.weights(0..<4) == [2 / 3 as Float, 4 / 3 as Float, 2, 8 / 3 as Float])
        #expect(entry?.weights(8..<9) == [1 / 3 as Float])
    }

    /// An older file: entries of a name, calls and values, and what follows them.
    private static func legacy(_ entries: [(String, Int32, [Float])], _ end: [UInt8] = []) -> [UInt8] {
        littleEndian(Int32(entries.count))
            + entries.flatMap { name, calls, values in
                text(name) + littleEndian(calls) + littleEndian(Int32(values.count)) + littleEndian(values)
            } + end
    }

    private static func text(_ text: String) -> [UInt8] { littleEndian(Int32(text.utf8.count)) + Array(text.utf8) }

    @Test("an older file without an end, with an empty one, and with values that were never used")
    func older() throws {
        let entries: [(String, Int32, [Float])] = [("blk.3.a", 3, [1, 2]), ("output.weight", 0, [5])]
        for (end, chunks) in [([UInt8](), 0), (littleEndian(Int32(9)) + littleEndian(Int32(0)), 9)] {
            let matrix = try ImportanceTests.open(ImportanceTests.legacy(entries, end))
            #expect(matrix.entry("blk.3.a")?.weights(0..<2) == [1 / 3 as Float, 2 / 3 as Float])
            #expect(matrix.entry("output.weight")?.weights(0..<1) == [5])
            #expect(matrix.chunkCount == chunks && matrix.datasets == [] && matrix.layerCount == 4)
        }
    }

    private static func changed(_ change: (inout GGUFBytes) -> Void) -> [UInt8] {
        var file = experts
        change(&file)
        return file.bytes
    }

    private static func counts(_ values: [Float]) -> [UInt8] {
        changed { $0.tensors[1].data = littleEndian(values) }
    }

    static let hostile: [Hostile] = [
        Hostile("nothing", [], "is empty"),
        Hostile("two bytes", [1, 0], "needs 4 bytes"),
        Hostile(
            "text", Array("In the beginning God created".utf8),
            "is neither a GGUF file nor an older importance matrix: as one it would have 1,948,282,441 tensors"),
        Hostile("negative entries", littleEndian(Int32(-1)) + Array(repeating: 0, count: 99), "would have -1 tensors"),
        Hostile("no entries", littleEndian(Int32(0)) + Array(repeating: 0, count: 99), "would have 0 tensors"),
        Hostile("an older name without letters", legacy([("", 1, [1, 2, 3])]), "is empty or contains a zero byte"),
        Hostile("an older name with a zero byte", legacy([("a\0b", 1, [1])]), "is empty or contains a zero byte"),
        Hostile(
            "an older name of negative length",
            littleEndian(Int32(1)) + littleEndian(Int32.min) + Array("abcdefghijklmn".utf8),
            "the name of a tensor has -2147483648 bytes"),
        Hostile(
            "an older name that is no text",
            littleEndian(Int32(1)) + littleEndian(Int32(1)) + [0xFF] + Array(repeating: 0, count: 12), "is not UTF-8"),
        Hostile("no values", legacy([("abc", 1, []), ("abcdefghijklmn", 1, [1, 2])]), "'abc' has 0 values"),
        Hostile(
            "more values than bytes",
            littleEndian(Int32(1)) + text("abc") + littleEndian(Int32(1)) + littleEndian(Int32.max)
                + littleEndian([1] as [Float]),
            "the values of 'abc' needs 8,589,934,588 bytes; the file has 4 more"),
        Hostile("an entry twice", legacy([("abc", 1, [1]), ("abc", 1, [1])]), "tensor 'abc' occurs twice"),
        Hostile("a sum below 0", legacy([("abc", 1, [1, -1])]), "has the sum -1.0 for column 1"),
        Hostile("a sum that is no number", legacy([("abc", 1, [.nan])]), "has the sum nan for column 0"),
        Hostile("half an end", legacy([("abc", 1, [1])], [1, 0]), "the number of chunks needs 4 bytes"),
        Hostile(
            "an end without a text", legacy([("abc", 1, [1])], [1, 0, 0, 0]), "the length of the name of the text"),
        Hostile(
            "bytes after the end", legacy([("abc", 1, [1])], [1, 0, 0, 0, 0, 0, 0, 0, 5]),
            "1 bytes follow the end of the importance matrix"),
        Hostile(
            "a model", GGUFBytes([("general.type", .text("model"))]).bytes,
            "is a GGUF file ('model') without importance sums"),
        Hostile("no keys", changed { $0.pairs = [] }, "has no imatrix.datasets"),
        Hostile(
            "chunks that are a text", changed { $0.pairs[1].value = .text("7") },
            "imatrix.chunk_count that is not a chunk count"),
        Hostile("sums without counts", changed { $0.tensors.removeLast() }, "has sums but no counts"),
        Hostile(
            "counts without sums",
            changed { $0.tensors.append(.init("x.counts", shape: [1], data: littleEndian([1] as [Float]))) },
            "tensor 'x' has counts but no sums"),
        Hostile(
            "counts that do not divide the sums",
            changed {
                $0.tensors[1] = .init($0.tensors[1].name, shape: [5], data: littleEndian([1, 1, 1, 1, 1] as [Float]))
            },
            "has 12 sums and 5 counts"),
        Hostile(
            "no counts at all", changed { $0.tensors[1] = .init($0.tensors[1].name, shape: [0, 1], data: []) },
            "has 12 sums and 0 counts"),
        Hostile(
            "counts in another type",
            changed { $0.tensors[1] = .init($0.tensors[1].name, type: 1, shape: [3, 1], data: [0, 0, 0, 0, 0, 0]) },
            "has sums in F32 and counts in F16"),
        Hostile("a count below 0", counts([1, -2, 1]), "has the count -2.0 for matrix 1"),
        Hostile("an infinite count", counts([1, 1, .infinity]), "has the count inf for matrix 2"),
        Hostile(
            "an infinite sum",
            changed { $0.tensors[0].data.replaceSubrange(44..<48, with: littleEndian([.infinity] as [Float])) },
            "has the sum inf for column 11"),
    ]

    @Test("what is wrong is refused", arguments: hostile)
    func refused(hostile: Hostile) throws {
        let error = #expect(throws: CheckpointError.self) { try ImportanceTests.open(hostile.bytes) }
        expect(error, hostile.message)
    }

    @Test("every file that ends too early is refused")
    func truncated() throws {
        let older = ImportanceTests.legacy(
            [("blk.0.a", 1, [1, 2]), ("b", 2, [3])], littleEndian(Int32(4)) + ImportanceTests.text("t"))
        for end in 0..<older.count {
            // Without what follows the entries it is whole.
            let isWhole = end == older.count - 9
            #expect((try? ImportanceTests.open(Array(older[..<end]))) == nil || isWhole, "\(end)")
        }
        let file = ImportanceTests.experts.bytes
        let whole = ImportanceTests.experts.header.count
        for end in stride(from: 0, to: whole, by: 3) {
            #expect(throws: CheckpointError.self) { try ImportanceTests.open(Array(file[..<end])) }
        }
    }

    @Test("bytes replaced by others end in an answer or an error", arguments: 1...200)
    func lies(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let older = ImportanceTests.legacy(
            [("blk.0.a", 1, [1, 2]), ("b", 2, [3])], littleEndian(Int32(4)) + ImportanceTests.text("t"))
        var bytes = seed % 2 == 0 ? older : ImportanceTests.experts.bytes
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
        }
        do {
            let matrix = try ImportanceTests.open(bytes)
            for name in ["blk.0.ffn_up_exps.weight", "blk.0.a", "b"] {
                guard let entry = matrix.entry(name) else { continue }
                #expect(entry.weights(0..<entry.count).allSatisfy { $0 >= 0 && $0.isFinite })
            }
        } catch {
            #expect(error is CheckpointError)
        }
    }
}
