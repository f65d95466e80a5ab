import Healing
import Testing

@Suite("the layers that stay")
struct KeptLayersTests {
    @Test("two gaps: who stands before and behind them")
    func gaps() {
        let kept = KeptLayers(count: 8, dropped: [2, 3, 7])
        #expect(kept.layers == [0, 1, 4, 5, 6])
        #expect(kept.layers.indices.map(kept.next) == [1, 4, 5, 6, 8])
        #expect(kept.layers.indices.filter(kept.isBeforeGap) == [1, 4])
        #expect(kept.layers.indices.filter(kept.isAfterGap) == [2, 3, 4])
    }

    @Test("a gap at the beginning has no layer before it")
    func first() {
        let kept = KeptLayers(count: 4, dropped: [0])
        #expect(kept.layers.indices.filter(kept.isBeforeGap) == [])
        #expect(kept.layers.indices.filter(kept.isAfterGap) == [0, 1, 2])
    }
}
