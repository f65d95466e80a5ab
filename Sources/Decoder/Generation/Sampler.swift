internal import CKernels

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Chooses the next token from logits: the most likely one, or one by chance.
///
/// Logits are divided by the temperature; the `topK` most likely tokens stay, and of them the fewest whose probabilities add
/// up to `topP`. Ties go to the lower token. The same seed gives the same tokens.
package struct Sampler: Sendable {
    private let temperature: Double
    private let topK: Int?
    private let topP: Double?
    private var state: UInt64

    /// A sampler; a temperature of 0 takes the most likely token.
    package init(temperature: Double = 0, topK: Int? = nil, topP: Double? = nil, seed: UInt64 = 0) {
        precondition(temperature >= 0 && temperature.isFinite && topK ?? 1 > 0 && topP ?? 1 > 0)
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        state = seed
    }

    /// The next token.
    ///
    /// - Precondition: the logits are finite.
    package mutating func next(_ logits: UnsafeBufferPointer<Float>) -> Int32 {
        precondition(!logits.isEmpty)
        guard let base = logits.baseAddress else { return 0 }
        let highest = resect_index_of_greatest(base, logits.count)
        precondition(highest < logits.count, "no logit is a number")
        guard temperature > 0 else { return Int32(highest) }
        let candidates = candidates(logits, highest: Double(logits[highest]))
        let total = candidates.reduce(0) { $0 + $1.weight }
        let chosen = uniform() * total
        var sum = 0.0
        for candidate in candidates {
            sum += candidate.weight
            if chosen < sum { return candidate.token }
        }
        // Only rounding leads here.
        return candidates.last { $0.weight > 0 }?.token ?? Int32(highest)
    }

    /// The tokens that stay, with weights in proportion to their probabilities.
    private func candidates(
        _ logits: UnsafeBufferPointer<Float>, highest: Double
    ) -> [(token: Int32, weight: Double)] {
        var result = logits.enumerated().map { index, logit in
            (token: Int32(index), weight: exp((Double(logit) - highest) / temperature))
        }
        guard topK != nil || topP != nil else { return result }
        result.sort { $0.weight == $1.weight ? $0.token < $1.token : $0.weight > $1.weight }
        if let topK, topK < result.count { result.removeLast(result.count - topK) }
        guard let topP else { return result }
        let wanted = topP * result.reduce(0) { $0 + $1.weight }
        var sum = 0.0
        for (index, candidate) in result.enumerated() {
            sum += candidate.weight
            if sum >= wanted { return Array(result[...index]) }
        }
        return result
    }

    /// A number from 0 up to 1, by the generator SplitMix64.
    private mutating func uniform() -> Double {
        state &+= 0x9E37_79B9_7F4A_7C15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        return Double(bits >> 11) * 0x1p-53
    }
}
