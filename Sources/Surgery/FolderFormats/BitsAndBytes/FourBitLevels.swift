/// The sixteen levels of a four-bit type of bitsandbytes, relative to a block's largest magnitude.
enum FourBitLevels: String, Sendable, CaseIterable {
    /// Quantiles of a normal distribution, from Dettmers et al., QLoRA (https://arxiv.org/abs/2305.14314).
    case nf4
    /// Two exponent bits and one mantissa bit, in bitsandbytes' own code order.
    case fp4

    /// The value of each code: `quant_map` in a file.
    var values: [Float] {
        switch self {
        case .nf4:
            [
                -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
                -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
                0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023,
                1.0,
            ]
        case .fp4:
            [0, 0.0625, 8, 12, 4, 6, 2, 3, 0, -0.0625, -8, -12, -4, -6, -2, -3].map { $0 / 12 }
        }
    }

    /// The codes from the lowest level to the highest; of FP4's two zeros the smaller code comes first.
    var codes: [UInt8] {
        let values = values
        return (0..<16).sorted { (values[$0], $0) < (values[$1], $1) }.map { UInt8($0) }
    }

    /// The midpoints between neighbouring levels.
    var bounds: [Float] {
        let sorted = codes.map { values[Int($0)] }
        return zip(sorted, sorted.dropFirst()).map { ($0 + $1) / 2 }
    }
}
