/// The hash functions. Neither resists an attacker who constructs collisions; both detect accidental changes.
public enum HashAlgorithm: String, Sendable, CaseIterable {
    /// 128 bits, the fastest.
    case xxh3_128 = "xxh3-128"
    /// 64 bits, as llama-gguf-hash prints them.
    case xxh64

    /// Hexadecimal digits of a hash.
    public var digitCount: Int { self == .xxh3_128 ? 32 : 16 }
}

/// The hash of some bytes.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// Its algorithm.
    public let algorithm: HashAlgorithm
    let high: UInt64
    let low: UInt64

    /// A hash of 128 bits.
    init(high: UInt64, low: UInt64) {
        (algorithm, self.high, self.low) = (.xxh3_128, high, low)
    }

    /// A hash of 64 bits.
    init(xxh64 value: UInt64) {
        (algorithm, high, low) = (.xxh64, 0, value)
    }

    /// Parses a hash from lower-case hexadecimal digits; `nil` when it is not one of that algorithm.
    public init?(_ text: String, algorithm: HashAlgorithm) {
        let digits = Array(text.utf8)
        guard digits.count == algorithm.digitCount else { return nil }
        var halves: [UInt64] = [0, 0]
        for (index, digit) in digits.enumerated() {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            default: return nil
            }
            let half = digits.count - index > 16 ? 0 : 1
            halves[half] = halves[half] << 4 | UInt64(value)
        }
        (self.algorithm, high, low) = (algorithm, halves[0], halves[1])
    }

    /// The digits, lower case, most significant first.
    public var description: String {
        func digits(_ value: UInt64) -> String {
            let text = String(value, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return algorithm == .xxh64 ? digits(low) : digits(high) + digits(low)
    }
}
