import Healing
import TestSupport
import Testing

@Suite("how contexts are split into parts")
struct TextSplitTests {
    @Test("shares are as equal as the kinds allow, worked out by hand")
    func shares() throws {
        var sizes = HealingText.Sizes(fitting: 20)
        (sizes.ranking, sizes.choosing) = (0, 4)
        // Kind 2 is held out. Of 3 and 100 contexts 20 are taken: 3 and 17.
        let split = try #require(TextSplit(counts: [3, 100, 9], heldOut: 2, sizes: sizes, seed: 1))
        #expect(split.changing.map(\.kind) == [0, 1, 0, 1, 0, 1] + Array(repeating: 1, count: 14))
        #expect(split.choosing.map(\.kind) == [2, 2, 2, 2])
        #expect(split.ranking.isEmpty)
    }

    @Test("an eighth of a short text goes to each of ranking and choosing, and the rest is fitted")
    func short() throws {
        let split = try #require(TextSplit(counts: [40], heldOut: nil, sizes: .init(), seed: 3))
        #expect((split.ranking.count, split.choosing.count, split.changing.count) == (5, 5, 30))
        let three = try #require(TextSplit(counts: [3], heldOut: nil, sizes: .init(), seed: 3))
        #expect((three.ranking.count, three.choosing.count, three.changing.count) == (1, 1, 1))
        #expect(TextSplit(counts: [2], heldOut: nil, sizes: .init(), seed: 3) == nil)
        #expect(TextSplit(counts: [1, 1, 5], heldOut: 2, sizes: .init(), seed: 3) != nil)
        #expect(TextSplit(counts: [1, 0, 5], heldOut: 2, sizes: .init(), seed: 3) == nil)
    }

    @Test("contexts that rank and choose are neighbours, those that are fitted are shuffled by the seed")
    func neighbours() throws {
        let sizes = HealingText.Sizes(fitting: 50)
        let splits = try (0..<8).map { seed in
            try #require(TextSplit(counts: [400], heldOut: nil, sizes: sizes, seed: seed))
        }
        for split in splits {
            let ring = split.choosing + split.ranking
            for (one, next) in zip(ring, ring.dropFirst()) { #expect(next.context == (one.context + 1) % 400) }
            #expect(Set(split.changing).isDisjoint(with: ring) && Set(split.changing).count == 50)
            #expect(split.changing.map(\.context) != split.changing.map(\.context).sorted())
        }
        #expect(Set(splits.map { $0.changing.map(\.context) }).count == 8)
        #expect(Set(splits.map { $0.choosing[0].context }).count > 4)
    }
}
