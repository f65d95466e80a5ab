public import Surgery

/// The layers that stay after a cut, by their old numbers, and where the gaps between them are.
public struct KeptLayers: Sendable, Equatable {
    /// The number of layers before the cut.
    public let count: Int
    /// The layers that stay, ascending; the last entry is followed by `count`, the output of the last layer.
    public let layers: [Int]

    /// The layers of a model without some of them.
    public init(count: Int, dropped: some Sequence<Int>) {
        let dropped = Set(dropped)
        self.count = count
        layers = (0..<count).filter { !dropped.contains($0) }
    }

    /// The layers of a model without some runs of them.
    public init(count: Int, without runs: LayerRuns) { self.init(count: count, dropped: runs.runs.joined()) }

    /// The layer whose input a kept layer has to make: the next one that stays, or `count` after the last.
    public func next(after index: Int) -> Int { index + 1 < layers.count ? layers[index + 1] : count }

    /// Whether layers are missing right behind a kept layer.
    public func isBeforeGap(_ index: Int) -> Bool { next(after: index) != layers[index] + 1 }

    /// Whether layers are missing anywhere before a kept layer.
    public func isAfterGap(_ index: Int) -> Bool { layers[index] != index }

    /// A kept layer's turn among those before a gap that jump over it together.
    public struct Turn: Sendable, Equatable {
        /// The layers that are missing.
        public let gap: Range<Int>
        /// Which of them this is, from 1, and how many there are; the last one stands right before the gap.
        public let number: Int, count: Int

        /// A turn.
        public init(gap: Range<Int>, number: Int, count: Int) {
            self.gap = gap
            self.number = number
            self.count = count
        }

        /// Whether the gap follows.
        public var isLast: Bool { number == count }
    }

    /// The turn of a kept layer; `nil` when no gap follows within some layers.
    public func turn(of index: Int, within limit: Int) -> Turn? {
        func follows(_ index: Int) -> Bool { index > 0 && layers[index] == layers[index - 1] + 1 }
        var last = index
        while !isBeforeGap(last) {
            last += 1
            if last == layers.count || last - index >= limit { return nil }
        }
        var first = last
        while last - first + 1 < limit, follows(first) { first -= 1 }
        return Turn(
            gap: layers[last] + 1..<next(after: last), number: index - first + 1, count: last - first + 1)
    }
}
