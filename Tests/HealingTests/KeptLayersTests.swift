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

    @Test("the layers before a gap take turns, as far as they are neighbours")
    func turns() {
        // 0 1 2 . . 5 6 . 8
        let kept = KeptLayers(count: 9, dropped: [3, 4, 7])
        func turns(within limit: Int) -> [KeptLayers.Turn?] {
            kept.layers.indices.map { kept.turn(of: $0, within: limit) }
        }
        func first(_ number: Int, of count: Int) -> KeptLayers.Turn { .init(gap: 3..<5, number: number, count: count) }
        func second(_ number: Int, of count: Int) -> KeptLayers.Turn { .init(gap: 7..<8, number: number, count: count) }
        #expect(turns(within: 1) == [nil, nil, first(1, of: 1), nil, second(1, of: 1), nil])
        #expect(
            turns(within: 2) == [nil, first(1, of: 2), first(2, of: 2), second(1, of: 2), second(2, of: 2), nil])
        #expect(
            turns(within: 4)
                == [first(1, of: 3), first(2, of: 3), first(3, of: 3), second(1, of: 2), second(2, of: 2), nil])
        #expect(KeptLayers(count: 4, dropped: [0]).turn(of: 0, within: 4) == nil)
        // A gap at the end.
        #expect(KeptLayers(count: 4, dropped: [3]).turn(of: 2, within: 1) == .init(gap: 3..<4, number: 1, count: 1))
    }
}
