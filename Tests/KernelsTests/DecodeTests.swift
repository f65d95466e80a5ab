import Formats
import Kernels
import TestSupport
import Testing

@Suite("decoding")
struct DecodeTests {
    static let types = [
        "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
        "IQ4_XS", "MXFP4", "NVFP4",
    ]

    @Test("random blocks give gguf-py's values, bit for bit, on every instruction set", arguments: types)
    func oracle(name: String) throws {
        let answers = try KnownAnswers(Fixture.path("codecs/decode.safetensors"))
        let dtype = try #require(DType(named: name))
        let blocks = try answers.bytes("\(name).blocks")
        let values = try answers.floats("\(name).values")
        try #require(values.count == 1024)
        for instructions in InstructionSet.available {
            let found = decoded(dtype, blocks, count: 1024, by: instructions)
            #expect(bits(found) == bits(values), "\(instructions)")
        }
    }

    @Test("blocks at odd addresses and in any number are decoded alike", arguments: DType.decoded)
    func unaligned(dtype: DType) {
        var generator = SeededGenerator(seed: 7)
        let blocks = generator.bytes(dtype.blockByteCount * 5)
        let whole = decoded(dtype, blocks, count: dtype.blockCount * 5)
        for count in 0...5 {
            for shift in 1...3 {
                let moved = Array(repeating: 0, count: shift) + blocks
                let values = [Float](unsafeUninitializedCapacity: dtype.blockCount * count) { buffer, filled in
                    filled = dtype.blockCount * count
                    moved.withUnsafeBytes {
                        let part = UnsafeRawBufferPointer(rebasing: $0[shift...])
                        if filled > 0 {
                            Codec.decode(dtype, part, count: filled, into: buffer.baseAddress!)
                        }
                    }
                }
                #expect(bits(values) == bits(Array(whole.prefix(values.count))))
            }
        }
    }

    @Test("any bytes are decoded alike by every instruction set", arguments: DType.decoded)
    func anyBytes(dtype: DType) {
        var generator = SeededGenerator(seed: 11)
        let blocks = generator.bytes(dtype.blockByteCount * 64)
        let best = decoded(dtype, blocks, count: dtype.blockCount * 64)
        for instructions in InstructionSet.available {
            let found = decoded(dtype, blocks, count: best.count, by: instructions)
            // Which NaN comes out of a NaN is not promised.
            #expect(zip(found, best).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) })
        }
    }

    @Test("all 65,536 halves are the values that the standard gives them")
    func halves() {
        let patterns = (0...UInt16.max).map { $0 }
        let f16 = decoded(.f16, patterns.flatMap { littleEndian($0) }, count: 65_536)
        let bf16 = decoded(.bf16, patterns.flatMap { littleEndian($0) }, count: 65_536)
        for pattern in patterns {
            let expected = Float(Float16(bitPattern: pattern))
            let found = f16[Int(pattern)]
            #expect(found.bitPattern == expected.bitPattern || (found.isNaN && expected.isNaN))
            #expect(bf16[Int(pattern)].bitPattern == UInt32(pattern) << 16)
        }
    }

    @Test("a block of Q8_0 with the scale 2 doubles its numbers")
    func q8ByHand() throws {
        let numbers = (-16..<16).map { Int8($0) }
        let block = littleEndian(Float16(2).bitPattern) + numbers.map { UInt8(bitPattern: $0) }
        #expect(decoded(.q8_0, block, count: 32) == numbers.map { Float($0) * 2 })
    }

    @Test("nibbles of Q4_0 and Q4_1 lie half a block apart")
    func q4ByHand() throws {
        let nibbles = (0..<16).map { UInt8($0) | UInt8(15 - $0) << 4 }
        let q4_0 = littleEndian(Float16(0.5).bitPattern) + nibbles
        let expected = (0..<16).map { Float($0 - 8) / 2 } + (0..<16).map { Float(7 - $0) / 2 }
        #expect(decoded(try #require(DType(named: "Q4_0")), q4_0, count: 32) == expected)
        let q4_1 = littleEndian(Float16(0.5).bitPattern) + littleEndian(Float16(100).bitPattern) + nibbles
        let shifted = expected.map { $0 + 4 + 100 }
        #expect(decoded(try #require(DType(named: "Q4_1")), q4_1, count: 32) == shifted)
    }

    @Test("a super-block of zeros is zero", arguments: DType.decoded)
    func zeros(dtype: DType) {
        let block = Array(repeating: UInt8(0), count: dtype.blockByteCount)
        #expect(decoded(dtype, block, count: dtype.blockCount).allSatisfy { $0 == 0 })
    }
}
