import Formats
import Kernels
import TestSupport
import Testing

@Suite("codes of four bits")
struct GroupTests {
    @Test("words come back as the codes they were made of", arguments: InstructionSet.available)
    func nibbles(instructions: InstructionSet) {
        var random = SeededGenerator(seed: 4)
        for count in [1, 7, 33] {
            let codes = random.bytes(8 * count).map { $0 & 15 }
            var words = [UInt32](repeating: 0, count: count), back = [UInt8](repeating: 0, count: 8 * count)
            Nibbles.join(codes, into: &words, count: count, by: instructions)
            #expect(
                words == (0..<count).map { word in (0..<8).reduce(0) { $0 | UInt32(codes[8 * word + $1]) << (4 * $1) } }
            )
            Nibbles.split(words, into: &back, count: count, by: instructions)
            #expect(back == codes)
            let order: [UInt8] = [0, 2, 4, 6, 1, 3, 5, 7]
            Nibbles.joinRows(codes, order: order, into: &words, count: count, by: instructions)
            #expect(
                words
                    == (0..<count).map { column in
                        (0..<8).reduce(0) { $0 | UInt32(codes[Int(order[$1]) * count + column]) << (4 * $1) }
                    })
            Nibbles.splitRows(words, order: order, into: &back, count: count, by: instructions)
            #expect(back == codes)
        }
    }

    static let rules: [GroupRounding.Rule] = [
        .mlx, .compressedTensors(symmetric: true), .compressedTensors(symmetric: false),
        .integer(symmetric: true, leastZeroPoint: 0), .integer(symmetric: false, leastZeroPoint: 0),
        .integer(symmetric: false, leastZeroPoint: 1),
    ]

    @Test("every instruction set rounds alike, and values are met within a step", arguments: rules)
    func rounding(rule: GroupRounding.Rule) {
        var random = SeededGenerator(seed: 5)
        let (groups, size) = (40, 24)
        var values = random.floats(groups * size, scale: 0.1)
        for index in 0..<size { values[index] = 0 }
        for index in size..<2 * size { values[index] = abs(values[index]) + 1 }
        for index in 2 * size..<3 * size { values[index] = -abs(values[index]) - 1 }
        for type in [DType.f32, .f16, .bf16] {
            let rounding = GroupRounding(rule, size: size, scaleType: type)
            var first: ([Float], [Float], [UInt8])?
            for instructions in InstructionSet.available {
                var scales = [Float](repeating: 0, count: groups), offsets = scales
                var codes = [UInt8](repeating: 99, count: groups * size)
                let refused = rounding.round(
                    values, groups: groups, scales: &scales, offsets: &offsets, codes: &codes, by: instructions)
                #expect(refused == nil && codes.allSatisfy { $0 < 16 })
                if let first { #expect(first == (scales, offsets, codes)) }
                first = (scales, offsets, codes)
                var back = [Float](repeating: 0, count: groups * size)
                GroupRounding.values(
                    codes, scales: scales, offsets: offsets, isBias: rule == .mlx, groups: groups, size: size,
                    into: &back, by: instructions)
                for index in values.indices {
                    let step = abs(scales[index / size])
                    #expect(abs(values[index] - back[index]) <= 1.1 * step + 0.01 * abs(values[index]), "\(index)")
                }
            }
        }
    }

    @Test("a group with something that is not finite is named")
    func refusals() {
        var values = [Float](repeating: 1, count: 64)
        values[40] = .nan
        var scales = [Float](repeating: 0, count: 4), offsets = scales
        for rule in GroupTests.rules {
            let rounding = GroupRounding(rule, size: 16, scaleType: .f16)
            #expect(rounding.round(values, groups: 4, scales: &scales, offsets: &offsets, codes: nil) == 2)
        }
        values[40] = 3e9
        let rounding = GroupRounding(.integer(symmetric: true, leastZeroPoint: 0), size: 16, scaleType: .f16)
        #expect(rounding.round(values, groups: 4, scales: &scales, offsets: &offsets, codes: nil) == 2)
    }
}
