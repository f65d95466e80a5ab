import Formats
import Kernels
import TestSupport
import Testing

@Suite("floats of four and eight bits")
struct FloatCodeTests {
    private static let levels: [Float] = [
        -1, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.091050036, 0, 0.0795803, 0.1609302,
        0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1,
    ]
    private static let bounds = zip(levels, levels.dropFirst()).map { ($0 + $1) / 2 }

    /// Weights, and what breaks quantizers: zeros, tiny and huge numbers, infinity, NaN.
    private static func hard(_ count: Int) -> [Float] {
        var generator = SeededGenerator(seed: 31)
        var values = generator.floats(count, scale: 0.02)
        for index in stride(from: 0, to: count, by: 97) {
            values[index] = [0, -0.0, 0x1p-130, 3e38, .infinity, -.infinity, .nan, 0.25, -6][index / 97 % 9]
        }
        return values
    }

    @Test("every instruction set gives the same codes", arguments: [16, 32, 64, 4096], [2048, 2023])
    func instructionSets(block: Int, count: Int) {
        let values = FloatCodeTests.hard(count)
        let blocks = (count + block - 1) / block
        var first: ([UInt32], [UInt8], [UInt8])?
        for instructions in InstructionSet.available {
            var largest = [Float](repeating: 0, count: blocks)
            FloatCodes.largest(values, count: count, block: block, into: &largest, by: instructions)
            var codes = [UInt8](repeating: 0, count: (count + 1) / 2)
            FloatCodes.encodeLevels(
                values, count: count, block: block, largest: largest, bounds: FloatCodeTests.bounds,
                codes: Array(0..<16), into: &codes, by: instructions)
            var bytes = [UInt8](repeating: 0, count: count)
            FloatCodes.encodeE4M3(values, count: count, into: &bytes, by: instructions)
            let found = (bits(largest), codes, bytes)
            let expected = first ?? found
            #expect(found.0 == expected.0 && found.1 == expected.1 && found.2 == expected.2, "\(instructions)")
            first = expected
        }
    }

    @Test("a level has its own code, and the first of a byte lies in the high half")
    func ownCodes() {
        let values = FloatCodeTests.levels.map { 3 * $0 }
        var largest: Float = 0
        FloatCodes.largest(values, count: 16, block: 64, into: &largest)
        #expect(largest == 3)
        var codes = [UInt8](repeating: 0, count: 8)
        FloatCodes.encodeLevels(
            values, count: 16, block: 64, largest: [largest], bounds: FloatCodeTests.bounds, codes: Array(0..<16),
            into: &codes)
        #expect(codes == [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF])
        var back = [Float](repeating: 0, count: 16)
        FloatCodes.decode(
            codes, count: 16, block: 64, values: FloatCodeTests.levels, scales: [3], order: .highFirst, into: &back)
        #expect(back == values)
    }

    @Test("every code of E2M1 comes back, the first of a byte from the low half", arguments: InstructionSet.available)
    func e2m1(instructions: InstructionSet) {
        let codes: [UInt8] = [0x10, 0x32, 0x54, 0x76, 0x98, 0xBA, 0xDC, 0xFE]
        var values = [Float](repeating: 0, count: 16)
        FloatCodes.decode(
            codes, count: 16, block: 16, values: FloatCodes.e2m1, scales: [0.25], order: .lowFirst, into: &values,
            by: instructions)
        #expect(values == FloatCodes.e2m1.map { $0 / 4 })
        var back = [UInt8](repeating: 0, count: 8)
        FloatCodes.encodeE2M1(
            values, count: 16, block: 16, scales: [0.25], rounding: .even, into: &back, by: instructions)
        // The rule asks whether a value is below zero, and -0 is not.
        #expect(back == [0x10, 0x32, 0x54, 0x76, 0x90, 0xBA, 0xDC, 0xFE])
    }

    @Test("halves go to the even code of E2M1, or down", arguments: InstructionSet.available)
    func halves(instructions: InstructionSet) {
        let values: [Float] = [
            0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 7, -0.25, -0.75, -1.25, -1.75, -2.5, -3.5, -5, -.infinity,
        ]
        func codes(_ rounding: FloatCodes.Rounding) -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: 8)
            FloatCodes.encodeE2M1(
                values, count: 16, block: 16, scales: [1], rounding: rounding, into: &bytes, by: instructions)
            return bytes.flatMap { [$0 & 15, $0 >> 4] }
        }
        #expect(codes(.even) == [0, 2, 2, 4, 4, 6, 6, 7, 8, 10, 10, 12, 12, 14, 14, 15])
        for type in [DType.f32, .f16, .bf16] {
            #expect(codes(.down(quotients: type)) == [0, 1, 2, 3, 4, 5, 6, 7, 0, 9, 10, 11, 12, 13, 14, 0])
        }
    }

    @Test("every code of E4M3 comes back", arguments: InstructionSet.available)
    func e4m3(instructions: InstructionSet) {
        let codes = [UInt8](0...255)
        var values = [Float](repeating: 0, count: 256)
        FloatCodes.decodeE4M3(codes, count: 256, into: &values, by: instructions)
        #expect(values[0x01] == 0x1p-9 && values[0x08] == 0x1p-6 && values[0x38] == 1 && values[0x7E] == 448)
        #expect(values[0x7F].isNaN && values[0xFF].isNaN)
        var back = [UInt8](repeating: 0, count: 256)
        FloatCodes.encodeE4M3(values, count: 256, into: &back, by: instructions)
        #expect(back == codes)
    }

    @Test("E4M3 takes the nearest code, the even one of two, and 448 for what is larger")
    func e4m3Rounding() {
        let values: [Float] = [1.0625, 1.1875, 1.06, 0x1p-10, 0x1.8p-9, 449, .infinity, -1e30]
        var codes = [UInt8](repeating: 0, count: 8)
        FloatCodes.encodeE4M3(values, count: 8, into: &codes)
        #expect(codes == [0x38, 0x3A, 0x38, 0x00, 0x02, 0x7E, 0x7E, 0xFE])
    }
}
