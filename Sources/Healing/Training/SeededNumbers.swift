#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Numbers that follow from a seed and a few indices, so that any of them can be had without those before it (SplitMix64).
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64

    /// The numbers of one use: what a seed gives for some indices.
    init(seed: UInt64, _ indices: Int...) {
        state = indices.reduce(SeededNumbers.mixed(seed)) { SeededNumbers.mixed($0 ^ UInt64(truncatingIfNeeded: $1)) }
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return SeededNumbers.finished(state)
    }

    private static func mixed(_ value: UInt64) -> UInt64 { finished(value &+ 0x9E37_79B9_7F4A_7C15) }

    private static func finished(_ value: UInt64) -> UInt64 {
        var mixed = value
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A value from -1 to below 1, of 24 bits.
    mutating func unit() -> Float { Float(next() >> 40) / 8_388_608 - 1 }

    /// The indices below a count in an order of their own.
    mutating func permutation(_ count: Int) -> [Int] {
        var result = Array(0..<count)
        for index in stride(from: count - 1, to: 0, by: -1) {
            result.swapAt(index, Int(next() % UInt64(index + 1)))
        }
        return result
    }
}

/// The cosine, for files that import no C library.
func cosine(_ angle: Double) -> Double { cos(angle) }
