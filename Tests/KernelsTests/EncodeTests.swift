import Formats
import Kernels
import TestSupport
import Testing

@Suite("encoding")
struct EncodeTests {
    static let types = [
        "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
        "IQ4_XS", "MXFP4", "NVFP4",
    ]
    /// Types that have no use for importance.
    static let indifferent = ["F16", "BF16", "Q8_0", "MXFP4", "NVFP4"]

    @Test("rows of every kind give ggml's bytes, on every instruction set", arguments: types, [false, true])
    func oracle(name: String, isWeighted: Bool) throws {
        let answers = try KnownAnswers(Fixture.path("codecs/encode.safetensors"))
        let dtype = try #require(DType(named: name))
        let input = try answers.floats("input")
        let importance = try answers.floats("importance")
        let isIndifferent = EncodeTests.indifferent.contains(name)
        let blocks = try answers.bytes(isWeighted && !isIndifferent ? "\(name).weighted" : "\(name).blocks")
        let rows = input.count / importance.count
        try #require(rows > 16 && input.count == rows * importance.count && blocks.count % rows == 0)
        let rowBytes = blocks.count / rows
        for instructions in InstructionSet.available {
            let found = encoded(
                dtype, input, rowLength: importance.count, importance: isWeighted ? importance : nil, by: instructions)
            try #require(found.count == blocks.count)
            for row in 0..<rows {
                let range = row * rowBytes..<(row + 1) * rowBytes
                #expect(found[range] == blocks[range], "row \(row), \(instructions)")
            }
        }
    }

    @Test("importance changes the bytes where a type has a use for it", arguments: types)
    func importanceMatters(name: String) throws {
        let dtype = try #require(DType(named: name))
        var generator = SeededGenerator(seed: 21)
        let values = generator.floats(2048)
        let importance = (0..<512).map { _ in Float.random(in: 0...1, using: &generator) }
        let plain = encoded(dtype, values, rowLength: 512)
        let weighted = encoded(dtype, values, rowLength: 512, importance: importance)
        #expect((plain == weighted) == EncodeTests.indifferent.contains(name))
    }

    @Test("rows that are encoded together are encoded as they are alone", arguments: DType.encoded, [false, true])
    func rowsTogether(dtype: DType, isWeighted: Bool) {
        var generator = SeededGenerator(seed: 22)
        // Neither rows nor their blocks fill the lanes; sixteen super-blocks are a chunk.
        let rows = 19
        let rowLength = 768
        let values = generator.floats(rows * rowLength)
        let importance = isWeighted ? (0..<rowLength).map { _ in Float.random(in: 0...1, using: &generator) } : nil
        let apart = (0..<rows).flatMap { row in
            encoded(
                dtype, Array(values[row * rowLength..<(row + 1) * rowLength]), rowLength: rowLength,
                importance: importance)
        }
        #expect(encoded(dtype, values, rowLength: rowLength, importance: importance) == apart)
    }

    @Test(
        "any values, NaN and infinities too, give the same bytes on every instruction set", arguments: DType.quantized,
        [0, 0.01, 0.3, 1])
    func anyValues(dtype: DType, share: Double) {
        var generator = SeededGenerator(seed: 23)
        let special: [Float] = [.nan, -.nan, .infinity, -.infinity, .signalingNaN, .greatestFiniteMagnitude, -0.0]
        func values(_ count: Int) -> [Float] {
            generator.floats(count).map { value in
                guard Double.random(in: 0..<1, using: &generator) < share else { return value }
                let any = Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &generator))
                return special.randomElement(using: &generator).map { Bool.random(using: &generator) ? $0 : any } ?? any
            }
        }
        let rows = values(16 * 768)
        for importance in [nil, values(768), generator.floats(768).map(\.magnitude)] {
            let expected = encoded(dtype, rows, rowLength: 768, importance: importance, by: .baseline)
            for instructions in InstructionSet.available {
                #expect(
                    encoded(dtype, rows, rowLength: 768, importance: importance, by: instructions) == expected,
                    "\(instructions)")
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
        "Q4_0": 15, "Q4_1": 15, "Q5_0": 31, "Q5_1": 31, "Q8_0": 254, "Q2_K": 3, "Q3_K": 7, "Q4_K": 15, "Q5_K": 31,
        "Q6_K": 63, "IQ4_NL": 10, "IQ4_XS": 10, "MXFP4": 5, "NVFP4": 6,
    ]

    @Test("what is decoded lies within a step of what was encoded", arguments: DType.quantized)
    func nearby(dtype: DType) throws {
        var generator = SeededGenerator(seed: 9)
        let values = generator.floats(dtype.blockCount * 16, scale: 0.05)
        let found = decoded(dtype, encoded(dtype, values), count: values.count)
        // Blocks without a minimum of their own are symmetric: their step is that of twice the largest value.
        let isSymmetric = !["Q4_1", "Q5_1", "Q2_K", "Q4_K", "Q5_K"].contains(dtype.name)
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

    @Test("a NaN makes Q8_0 forget what came before it, and what does not fit keeps its low byte, as in ggml")
    func overflow() {
        var values = Array(repeating: Float(0), count: 32)
        (values[0], values[1], values[2], values[30], values[31]) = (1000, -3, 1e30, .nan, 1)
        // 127,000 and -381, of which one byte is left, and a number that no integer holds.
        let expected: [UInt8] = [0x08, 0x20, 0x18, 0x83, 0] + Array(repeating: 0, count: 28) + [127]
        for instructions in InstructionSet.available {
            #expect(encoded(.q8_0, values, by: instructions) == expected)
        }
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
        for index in stride(from: 0, to: values.count, by: 3) { values[index] = index % 2 == 0 ? value : -value }
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
