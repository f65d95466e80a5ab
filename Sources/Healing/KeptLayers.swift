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
}
