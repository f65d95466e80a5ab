import Formats
import Kernels
import TestSupport
import Testing

@Suite("encoding")
struct EncodeTests {
    static let types = ["F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]

    @Test("rows of every kind give ggml's bytes, on every instruction set", arguments: types)
    func oracle(name: String) throws {
        let answers = try KnownAnswers(Fixture.path("codecs/encode.safetensors"))
        let dtype = try #require(DType(named: name))
        let input = try answers.floats("input")
        let blocks = try answers.bytes("\(name).blocks")
        try #require(input.count % 256 == 0 && !input.isEmpty)
        let rowBytes = try #require(dtype.byteCount(of: 256))
        for instructions in InstructionSet.available {
            let found = encoded(dtype, input, by: instructions)
            for row in 0..<input.count / 256 {
                let range = row * rowBytes..<(row + 1) * rowBytes
                #expect(found[range] == blocks[range], "row \(row), \(instructions)")
            }
        }
    }

    @Test("every instruction set gives the same bytes, for any number of blocks", arguments: DType.encoded)
    func sameBytes(dtype: DType) {
        var generator = SeededGenerator(seed: 3)
        for blocks in [1, 2, 3, 5, 8, 16] {
            for scale: Float in [1e-3, 1, 1e3] {
                let values = generator.floats(dtype.blockCount * blocks, scale: scale)
                let expected = encoded(dtype, values, by: .baseline)
                for instructions in InstructionSet.available {
                    #expect(encoded(dtype, values, by: instructions) == expected, "\(blocks), \(instructions)")
                }
            }
        }
    }

    @Test("nothing is written beyond the last block", arguments: DType.encoded, 1...4)
    func bounds(dtype: DType, blocks: Int) {
        var generator = SeededGenerator(seed: 4)
        let count = dtype.blockCount * blocks
        let byteCount = dtype.blockByteCount * blocks
        let values = generator.floats(count)
        for instructions in InstructionSet.available {
            var bytes = [UInt8](repeating: 0xA5, count: byteCount + 256)
            bytes.withUnsafeMutableBytes {
                Codec.encode(dtype, values, rows: 1, rowLength: count, into: $0, by: instructions)
            }
            #expect(bytes[byteCount...].allSatisfy { $0 == 0xA5 })
            var decoded = [Float](repeating: -7, count: count + 64)
            bytes.withUnsafeBytes { Codec.decode(dtype, $0, count: count, into: &decoded, by: instructions) }
            #expect(decoded[count...].allSatisfy { $0 == -7 })
        }
    }

    @Test("a block does not depend on its neighbours", arguments: DType.encoded)
    func independent(dtype: DType) {
        var generator = SeededGenerator(seed: 5)
        let values = generator.floats(dtype.blockCount * 7, scale: 0.1)
        let apart = (0..<7).flatMap { block in
            encoded(dtype, Array(values[block * dtype.blockCount..<(block + 1) * dtype.blockCount]))
        }
        #expect(encoded(dtype, values) == apart)
    }

    /// The steps between the least and the greatest value of a block.
    static let steps: [String: Float] = [
        "Q4_0": 15, "Q4_1": 15, "Q5_0": 31, "Q5_1": 31, "Q8_0": 254, "Q4_K": 15, "Q5_K": 31, "Q6_K": 63,
    ]

    @Test("what is decoded lies within a step of what was encoded", arguments: DType.quantized)
    func nearby(dtype: DType) throws {
        var generator = SeededGenerator(seed: 9)
        let values = generator.floats(dtype.blockCount * 16, scale: 0.05)
        let found = decoded(dtype, encoded(dtype, values), count: values.count)
        // Blocks without a minimum of their own are symmetric: their step is that of twice the largest value.
        let isSymmetric = !["Q4_1", "Q5_1", "Q4_K", "Q5_K"].contains(dtype.name)
        let steps = try #require(EncodeTests.steps[dtype.name])
        let size = dtype.blockCount == 32 || dtype.name != "Q6_K" ? 32 : 16
        for start in stride(from: 0, to: values.count, by: size) {
            let part = values[start..<start + size]
            let least = min(0, part.min() ?? 0)
            let greatest = max(0, part.max() ?? 0)
            let span = isSymmetric ? 2 * max(-least, greatest) : part.max()! - (dtype.isSuper ? least : part.min()!)
            // Half a step for rounding to nearest and a little for the rounded scale; the end that a symmetric
            // range of an even number of steps lacks, or scales that are themselves quantized, cost another half.
            let isTight = dtype.name == "Q8_0" || !(isSymmetric || dtype.isSuper)
            let allowed = span / steps * (isTight ? 0.57 : 1.05)
            let error = zip(part, found[start..<start + size]).map { abs($0 - $1) }.max() ?? 0
            #expect(error <= allowed, "block \(start / size): \(error) above \(allowed)")
        }
    }

    @Test("plain types keep what they can hold", arguments: DType.encoded.filter { !$0.isQuantized })
    func plain(dtype: DType) {
        let exact: [Float] = [0, 1, -1, 0.5, 65504, -65504, 0.00006103515625]
        let kept = dtype == .bf16 ? Array(exact.prefix(4)) : exact
        #expect(decoded(dtype, encoded(dtype, kept), count: kept.count) == kept)
    }

    @Test("f16 and bf16 round to nearest, ties to even")
    func rounding() {
        var generator = SeededGenerator(seed: 13)
        let values = (0..<20_000).map { _ in Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &generator)) }
            .filter { !$0.isNaN }
        let f16 = decoded(.f16, encoded(.f16, values), count: values.count)
        #expect(bits(f16) == bits(values.map { Float(Float16($0)) }))
        let ties: [(Float, UInt32)] = [(1.00390625, 0x3F80_0000), (1.01171875, 0x3F82_0000), (3.4e38, 0x7F80_0000)]
        #expect(bits(decoded(.bf16, encoded(.bf16, ties.map(\.0)), count: 3)) == ties.map(\.1))
        #expect(decoded(.f16, encoded(.f16, [.nan, -.nan]), count: 2).allSatisfy { $0.isNaN })
        #expect(decoded(.bf16, encoded(.bf16, [.nan, -.nan]), count: 2).allSatisfy { $0.isNaN })
    }

    @Test("zeros stay zeros", arguments: DType.encoded)
    func zeros(dtype: DType) {
        let zeros = Array(repeating: Float(0), count: dtype.blockCount * 3)
        #expect(decoded(dtype, encoded(dtype, zeros), count: zeros.count) == zeros)
    }

    @Test(
        "values that no model should have do no harm", arguments: DType.encoded,
        [
            Float.leastNonzeroMagnitude, .leastNormalMagnitude, 1e-30, 1e30, .greatestFiniteMagnitude, .infinity,
            -.infinity, .nan,
        ])
    func extremes(dtype: DType, value: Float) {
        var generator = SeededGenerator(seed: 17)
        var values = generator.floats(dtype.blockCount * 4)
        for place in stride(from: 0, to: values.count, by: 3) { values[place] = place % 2 == 0 ? value : -value }
        let bytes = encoded(dtype, values)
        for instructions in InstructionSet.available {
            #expect(encoded(dtype, values, by: instructions).count == bytes.count)
            #expect(decoded(dtype, bytes, count: values.count, by: instructions).count == values.count)
        }
    }
}

extension DType {
    /// Whether scales are themselves quantized.
    fileprivate var isSuper: Bool { blockCount == 256 }
}
