import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("weights that should not be quantized")
struct UnfitWeightsTests {
    /// Rows that count their elements, but for some.
    private struct Rows: RowSource {
        let rowLength: Int
        let exceptions: [Int: Float]
        var description: String { "rows" }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            let values = output.bindMemory(to: Float.self)
            for (index, element) in (rows.lowerBound * rowLength..<rows.upperBound * rowLength).enumerated() {
                values[index] = exceptions[element] ?? Float(element % 100) * 0.01
            }
        }
    }

    private static func model(_ shape: [Int], _ exceptions: [Int: Float]) throws -> Checkpoint {
        var model = try Models.gguf("llama", layers: 1)
        let rows = Rows(rowLength: shape.last ?? 1, exceptions: exceptions)
        model.tensors = [Tensor(name: "blk.0.ffn_up.weight", dtype: .f32, shape: shape, recipe: .computed(rows))]
        return model
    }

    private static func quantized(_ model: Checkpoint, _ mixture: String = "Q4_0", allows: Bool = false) throws
        -> Tensor
    {
        var settings = Quantize.Settings(try #require(Mixture.named(mixture)))
        settings.allowsNonfinite = allows
        return try #require(Quantize(settings).apply(to: model).tensors.first)
    }

    private static func error(_ tensor: Tensor, _ rows: Range<Int>) -> String? {
        do {
            try tensor.withBytes(rows: rows) { _ in }
            return nil
        } catch {
            return error.problem
        }
    }

    @Test("finite values that F16 or BF16 would make infinite are counted, with the largest")
    func overflow() throws {
        // 65,519 still rounds to the largest number of F16; 65,520 does not.
        let model = try UnfitWeightsTests.model(
            [512, 256], [5: 65519, 3 * 256 + 7: 65520, 200 * 256 + 255: -1e5, 400 * 256: .infinity])
        let tensor = try UnfitWeightsTests.quantized(model, "F16")
        for rows in [0..<512, 3..<4, 200..<201] {
            #expect(
                UnfitWeightsTests.error(tensor, rows)
                    == "has 2 values too large for F16: -100000.0 in row 200, column 255; F16 ends at 65,504")
        }
        #expect(UnfitWeightsTests.error(tensor, 4..<200) == nil && UnfitWeightsTests.error(tensor, 0..<1) == nil)
        // What is infinite in the source stays so.
        #expect(UnfitWeightsTests.error(tensor, 400..<401) == nil)
        #expect(UnfitWeightsTests.error(try UnfitWeightsTests.quantized(model, "F16", allows: true), 0..<512) == nil)
        let wide = try UnfitWeightsTests.model([2, 256], [9: 3.4e38, 11: 3.38e38])
        let tooWide = UnfitWeightsTests.error(try UnfitWeightsTests.quantized(wide, "BF16"), 0..<1)
        #expect(
            tooWide
                == "has one value too large for BF16: 3.4e+38 in row 0, column 9; BF16 ends at 3.39e38")
        for allows in [false, true] {
            let cast = try Cast(to: .f16, allowsNonfinite: allows).apply(to: model)
            #expect((UnfitWeightsTests.error(try #require(cast.tensors.first), 0..<512) == nil) == allows)
        }
    }

    @Test("NaN and infinity are counted in the whole tensor, whichever rows are asked for")
    func nonfinite() throws {
        // More rows than are decoded at once to count.
        let model = try UnfitWeightsTests.model(
            [512, 256], [3 * 256 + 7: .nan, 200 * 256 + 255: -.infinity, 511 * 256: .infinity])
        let tensor = try UnfitWeightsTests.quantized(model)
        for rows in [0..<512, 3..<4, 200..<201, 500..<512] {
            #expect(
                UnfitWeightsTests.error(tensor, rows)
                    == "has 3 values that are not finite, first nan in row 3, column 7", "\(rows)")
        }
        #expect(UnfitWeightsTests.error(tensor, 4..<200) == nil)
        #expect(UnfitWeightsTests.error(try UnfitWeightsTests.quantized(model, allows: true), 0..<512) == nil)
    }

    @Test("a place among experts names the matrix")
    func experts() throws {
        let tensor = try UnfitWeightsTests.quantized(
            try UnfitWeightsTests.model([3, 4, 256], [(2 * 4 + 1) * 256 + 9: -.infinity]))
        #expect(
            UnfitWeightsTests.error(tensor, 8..<12)
                == "has one value that is not finite: -inf in matrix 2, row 1, column 9")
    }

    @Test("values beyond the largest scale are named; those below are encoded", arguments: ["Q4_0", "Q8_0", "Q4_K_S"])
    func large(mixture: String) throws {
        let wrong = try UnfitWeightsTests.quantized(
            try UnfitWeightsTests.model([4, 256], [2 * 256 + 40: 1e30]), mixture)
        #expect(UnfitWeightsTests.error(wrong, 0..<4)?.hasPrefix("holds values too large for the scales of ") == true)
        #expect(UnfitWeightsTests.error(wrong, 0..<2) == nil)
        let right = try UnfitWeightsTests.quantized(
            try UnfitWeightsTests.model([4, 256], [2 * 256 + 40: 1e5]), mixture)
        #expect(UnfitWeightsTests.error(right, 0..<4) == nil)
    }

    @Test("a plain type takes what is not finite")
    func plain() throws {
        let tensor = try UnfitWeightsTests.quantized(try UnfitWeightsTests.model([4, 256], [5: .nan]), "F16")
        #expect(UnfitWeightsTests.error(tensor, 0..<4) == nil)
    }

    @Test("what is quantized is quantized once more only when that is allowed")
    func requantize() throws {
        let gguf = try Convert(to: .gguf).apply(to: Models.fixture())
        let once = try Quantize(try #require(Mixture.named("Q8_0"))).apply(to: gguf)
        var settings = Quantize.Settings(try #require(Mixture.named("Q4_K_M")))
        expectRefusal("is already quantized (Q8_0)") { try Quantize(settings).apply(to: once) }
        settings.allowsRequantize = true
        #expect(try Quantize(settings).apply(to: once).tensors.contains { $0.dtype == .q4_K })
        // Plain types lose nothing more, and the same type nothing at all.
        #expect(try Quantize(try #require(Mixture.named("F16"))).apply(to: once).tensors.contains { $0.dtype == .f16 })
        #expect(try Quantize(try #require(Mixture.named("Q8_0"))).apply(to: once).tensors.count == once.tensors.count)
    }
}
