import Decoder
import Testing
import TestSupport

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

@Suite("the choice of a token")
struct SamplerTests {
    private static let logits: [Float] = [1, 3, -2, 3, 0.5, 2.5, -40, 1.5]

    private static func draw(_ count: Int, _ sampler: Sampler, _ logits: [Float] = logits) -> [Int32] {
        var sampler = sampler
        return (0..<count).map { _ in logits.withUnsafeBufferPointer { sampler.next($0) } }
    }

    /// The share of each token among many draws.
    private static func shares(_ sampler: Sampler) -> [Double] {
        let count = 40_000
        var shares = logits.map { _ in 0.0 }
        for token in draw(count, sampler) { shares[Int(token)] += 1 / Double(count) }
        return shares
    }

    private static func softmax(_ tokens: [Int], _ temperature: Double) -> [Double] {
        let weights = logits.indices.map { tokens.contains($0) ? exp(Double(logits[$0]) / temperature) : 0 }
        return weights.map { $0 / weights.reduce(0, +) }
    }

    private static func expect(
        _ sampler: Sampler, _ tokens: [Int], _ temperature: Double, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        for (share, expected) in zip(shares(sampler), softmax(tokens, temperature)) {
            #expect(abs(share - expected) < 0.01, sourceLocation: sourceLocation)
            #expect(expected > 0 || share == 0, sourceLocation: sourceLocation)
        }
    }

    @Test("without a temperature the first of the most likely tokens is taken")
    func greedy() {
        #expect(SamplerTests.draw(3, Sampler()) == [1, 1, 1])
        #expect(SamplerTests.draw(1, Sampler(), [-5]) == [0])
    }

    @Test("tokens come as often as they are likely", arguments: [0.5, 1, 3])
    func temperature(temperature: Double) {
        SamplerTests.expect(Sampler(temperature: temperature, seed: 1), Array(0..<8), temperature)
    }

    @Test("the most likely tokens alone are chosen from; of equal ones the first stay")
    func topK() {
        SamplerTests.expect(Sampler(temperature: 1, topK: 3, seed: 2), [1, 3, 5], 1)
        SamplerTests.expect(Sampler(temperature: 2, topK: 100, seed: 3), Array(0..<8), 2)
        #expect(Set(SamplerTests.draw(100, Sampler(temperature: 1, topK: 1, seed: 4))) == [1])
    }

    @Test("the fewest tokens that reach a probability are chosen from")
    func topP() {
        // At temperature 1 the probabilities are about 0.33, 0.33, 0.20, 0.07 (token 7) and less.
        SamplerTests.expect(Sampler(temperature: 1, topP: 0.6, seed: 5), [1, 3], 1)
        SamplerTests.expect(Sampler(temperature: 1, topP: 0.75, seed: 6), [1, 3, 5], 1)
        SamplerTests.expect(Sampler(temperature: 1, topP: 1, seed: 7), Array(0..<8), 1)
        #expect(Set(SamplerTests.draw(100, Sampler(temperature: 1, topP: 1e-9, seed: 8))) == [1])
        // Of the tokens that topK leaves.
        SamplerTests.expect(Sampler(temperature: 1, topK: 3, topP: 0.7, seed: 9), [1, 3], 1)
    }

    @Test("the same seed gives the same tokens, another seed others")
    func seeds() {
        let first = SamplerTests.draw(50, Sampler(temperature: 1, seed: 10))
        #expect(first == SamplerTests.draw(50, Sampler(temperature: 1, seed: 10)))
        #expect(first != SamplerTests.draw(50, Sampler(temperature: 1, seed: 11)))
    }
}
