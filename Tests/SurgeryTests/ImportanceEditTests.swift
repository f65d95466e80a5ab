import Checkpoints
import Formats
import Kernels
import Surgery
import TestSupport
import Testing

@Suite("quantizing by importance")
struct ImportanceEditTests {
    /// What llama-quantize makes of the fixture: fixtures/importance/digests.json.
    static let answers: JSONObject = {
        let text = String(decoding: Files.read(Fixture.path("importance/digests.json")), as: UTF8.self)
        return (try? JSON.parse(text))?.object ?? JSONObject()
    }()

    private static func matrix(_ form: String = "gguf") throws -> ImportanceMatrix {
        try ImportanceMatrix(path: Fixture.path("importance/matrix.\(form)"))
    }

    private static func quantize(
        _ mixture: String, _ matrix: ImportanceMatrix, dropped: Range<Int> = 0..<0
    ) throws -> Quantize {
        var settings = Quantize.Settings(try #require(Mixture.named(mixture)))
        settings.importance = Importance(matrix, dropped: dropped)
        return Quantize(settings)
    }

    /// The fixture in GGUF's names and row orders.
    private static func model() throws -> Checkpoint { try Convert(to: .gguf).apply(to: Models.fixture()) }

    private static func expectAnswer(
        _ answer: JSON?, _ result: Checkpoint, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let expected = try #require(answer?.object, sourceLocation: sourceLocation)
        #expect(
            expected.keys.count == result.tensors.filter { $0.shape.count > 1 }.count, sourceLocation: sourceLocation)
        for tensor in result.tensors where tensor.shape.count > 1 {
            let crc = String(ZipBytes.checksum(try Models.bytes(tensor)), radix: 16)
            let found = "\(tensor.dtype) " + String(repeating: "0", count: 8 - crc.count) + crc
            #expect(expected[tensor.name]?.string == found, "\(tensor.name)", sourceLocation: sourceLocation)
        }
    }

    @Test(
        "the bytes are llama-quantize's",
        arguments: (answers["gguf"]?.object?.keys ?? []).filter { $0.hasPrefix("Q") || $0.hasPrefix("IQ") })
    func digests(mixture: String) throws {
        let result = try ImportanceEditTests.quantize(mixture, ImportanceEditTests.matrix()).apply(
            to: ImportanceEditTests.model())
        try ImportanceEditTests.expectAnswer(ImportanceEditTests.answers["gguf"]?[mixture], result)
    }

    @Test("a second cut is counted in the layers that the matrix was measured on")
    func secondCut() throws {
        let matrix = try ImportanceEditTests.matrix()
        // Layers 2 and 3 are gone, so that 1 and 2 are the old 1 and 4.
        #expect(Importance(matrix, dropped: 2..<4).dropping(LayerRuns([1..<3])).dropped == LayerRuns([1..<5]))
        #expect(
            Importance(matrix, dropped: LayerRuns([0..<1, 5..<6])).dropping(LayerRuns([3..<6])).dropped.texts == [
                "0:1", "4:8",
            ])
        #expect(Importance(matrix).dropping(LayerRuns([3..<6])).dropped.texts == ["3:6"])
    }

    @Test("the bytes are llama-quantize's with the older form")
    func olderForm() throws {
        let result = try ImportanceEditTests.quantize("Q4_K_M", ImportanceEditTests.matrix("dat")).apply(
            to: ImportanceEditTests.model())
        try ImportanceEditTests.expectAnswer(ImportanceEditTests.answers["dat"]?["Q4_K_M"], result)
    }

    @Test("the bytes are llama-quantize's when both cut the same layers", arguments: ["gguf", "dat"])
    func pruned(form: String) throws {
        let cut = try CutLayers(layers: 3..<6).apply(to: ImportanceEditTests.model())
        let result = try ImportanceEditTests.quantize("Q4_K_S", ImportanceEditTests.matrix(form), dropped: 3..<6).apply(
            to: cut)
        try ImportanceEditTests.expectAnswer(ImportanceEditTests.answers[form]?["pruned"], result)
    }

    @Test("the metadata is llama-quantize's", arguments: ["gguf", "dat"])
    func metadata(form: String) throws {
        let quantize = try ImportanceEditTests.quantize("Q4_K_M", ImportanceEditTests.matrix(form))
        let result = try quantize.apply(to: ImportanceEditTests.model())
        let expected = try #require(ImportanceEditTests.answers[form]?["metadata"]?.object)
        #expect(expected.keys.count == 4)
        for (key, value) in expected.members {
            switch value {
            case .string(let text): #expect(result.metadata[key] == .string(text))
            default: #expect(result.metadata[key] == .u32(UInt32(value.int ?? 0)))
            }
        }
        #expect(result.sources.contains { $0.path.hasSuffix("matrix.\(form)") })
    }

    @Test("tensors that were not measured are named")
    func unmeasured() throws {
        let model = try ImportanceEditTests.model()
        for (form, names) in [("gguf", []), ("dat", ["token_embd.weight"])] {
            let quantize = try ImportanceEditTests.quantize("Q4_K_M", ImportanceEditTests.matrix(form))
            #expect(try quantize.unmeasured(from: model, to: quantize.apply(to: model)) == names)
        }
    }

    @Test("layers that do not fit are refused, and what to do is said")
    func layers() throws {
        let matrix = try ImportanceEditTests.matrix()
        let cut = try CutLayers(layers: 3..<6).apply(to: ImportanceEditTests.model())
        func refusal(_ model: Checkpoint, _ dropped: Range<Int>) throws -> CheckpointError? {
            let quantize = try ImportanceEditTests.quantize("Q4_K_M", matrix, dropped: dropped)
            return #expect(throws: CheckpointError.self) { try quantize.apply(to: model) }
        }
        let whole = try refusal(cut, 0..<0)
        #expect(whole?.problem.hasPrefix("was measured on a model of 12 layers; ") == true)
        #expect(whole?.problem.hasSuffix(" has 9") == true)
        #expect(whole?.hint == "if layers were cut from that model, name them: --imatrix-dropped LIST")
        #expect(try refusal(cut, 3..<5)?.problem.contains("of 12 layers minus the 2 that were cut; ") == true)
        #expect(try refusal(cut, 3..<7)?.problem.contains("of 12 layers minus the 4 that were cut; ") == true)
        #expect(
            try refusal(cut, 10..<13)?.problem == "has 12 layers, so 10:13 cannot have been cut")
    }

    /// A file of sums for some tensors, each of as many columns, with a count for each of as many parts.
    private static func matrix(_ entries: [(String, columns: Int, parts: Int)], seed: UInt64 = 1) throws
        -> ImportanceMatrix
    {
        var random = SeededGenerator(seed: seed)
        let tensors = entries.flatMap { name, columns, parts in
            let sums = random.floats(columns * parts).map { $0 * $0 }
            return [
                GGUFBytes.Tensor(name + ".in_sum2", shape: [UInt64(parts), UInt64(columns)], data: littleEndian(sums)),
                GGUFBytes.Tensor(
                    name + ".counts", shape: [UInt64(parts), 1],
                    data: littleEndian((0..<parts).map { Float($0 % 3 * 7) })),
            ]
        }
        let pairs: [(key: String, value: GGUFBytes.Value)] = [
            ("imatrix.datasets", .array(8, [])), ("imatrix.chunk_count", .u32(0)), ("imatrix.chunk_size", .u32(512)),
        ]
        let folder = TemporaryFolder()
        return try ImportanceMatrix(path: folder.write("matrix.gguf", GGUFBytes(pairs, tensors).bytes))
    }

    @Test("a matrix of another width is of another model; an embedding of another width goes without")
    func widths() throws {
        let model = try ImportanceEditTests.model()
        let names = model.tensors.filter { $0.shape.count == 2 }.map { ($0.name, $0.rowLength, 1) }
        let wide = try ImportanceEditTests.matrix(names.map { ($0.0, $0.0 == "blk.4.ffn_up.weight" ? 512 : $0.1, 1) })
        let quantize = try ImportanceEditTests.quantize("Q4_K_M", wide)
        expectRefusal("tensor 'blk.4.ffn_up.weight' was measured with 512 columns; it has 256") {
            try quantize.apply(to: model)
        }
        let embedding = try ImportanceEditTests.quantize(
            "Q4_K_M", ImportanceEditTests.matrix(names.map { ($0.0, $0.0 == "token_embd.weight" ? 512 : $0.1, 1) }))
        #expect(try embedding.unmeasured(from: model, to: embedding.apply(to: model)) == ["token_embd.weight"])
    }

    @Test("a matrix without any entry that fits, and one for a type without use for it, are refused")
    func useless() throws {
        let model = try ImportanceEditTests.model()
        let other = try ImportanceEditTests.matrix([("blk.11.wqkv.weight", 256, 1)])
        let matrix = try ImportanceEditTests.matrix()
        expectRefusal("has no entry for any tensor of") {
            try ImportanceEditTests.quantize("Q4_K_M", other).apply(to: model)
        }
        for mixture in ["Q8_0", "F16"] {
            expectRefusal("has no effect: no tensor gets a type that uses importance") {
                try ImportanceEditTests.quantize(mixture, matrix).apply(to: model)
            }
        }
    }

    /// A model of one layer whose only weights are those of experts.
    private static func experts(_ count: Int, rows: Int, columns: Int) throws -> (Checkpoint, [Float]) {
        var random = SeededGenerator(seed: 5)
        let values = random.floats(count * rows * columns, scale: 0.02)
        var model = try Models.gguf("llama", layers: 1)
        model.tensors = [
            Tensor(
                name: "blk.0.ffn_up_exps.weight", dtype: .f32, shape: [count, rows, columns],
                recipe: .computed(Values(values: values, rowLength: columns)))
        ]
        return (model, values)
    }

    private struct Values: RowSource {
        let values: [Float]
        let rowLength: Int
        var description: String { "values" }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            let part = values[rows.lowerBound * rowLength..<rows.upperBound * rowLength]
            part.withUnsafeBytes { output.copyMemory(from: $0) }
        }
    }

    @Test("every expert is encoded by its own weights, wherever a slab of rows begins")
    func experts() throws {
        let (count, rows, columns) = (5, 7, 256)
        let (model, values) = try ImportanceEditTests.experts(count, rows: rows, columns: columns)
        let matrix = try ImportanceEditTests.matrix([("blk.0.ffn_up_exps.weight", columns, count)])
        let result = try ImportanceEditTests.quantize("Q4_K_S", matrix).apply(to: model)
        let tensor = try #require(result.tensors.first)
        let entry = try #require(matrix.entry(tensor.name))
        let size = tensor.rowByteCount
        var expected = [UInt8](repeating: 0, count: tensor.byteCount)
        expected.withUnsafeMutableBytes { output in
            for expert in 0..<count {
                let part = UnsafeMutableRawBufferPointer(rebasing: output[(expert * rows * size)...])
                values[(expert * rows * columns)...].withUnsafeBufferPointer { source in
                    guard let base = source.baseAddress else { return }
                    Codec.encode(
                        tensor.dtype, base, rows: rows, rowLength: columns,
                        importance: entry.weights(expert * columns..<(expert + 1) * columns), into: part)
                }
            }
        }
        #expect(try Models.bytes(tensor) == expected)
        for (first, last) in [(0, 1), (6, 8), (5, 22), (13, 14), (34, 35)] {
            let found = try tensor.withBytes(rows: first..<last) { [UInt8]($0) }
            #expect(found == Array(expected[first * size..<last * size]))
        }
    }
}
