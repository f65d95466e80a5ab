/// A block of neighbouring layers that could be cut.
public struct Block: Sendable, Equatable {
    /// The layers, 0-based and half-open.
    public let layers: Range<Int>
    /// The angular distance between the input of the first and the input of the layer after the last.
    public let distance: Double
    /// The measured loss of the model without the block, in nats per token; `nil` when it was not measured.
    public var loss: Double?

    /// A block.
    public init(layers: Range<Int>, distance: Double, loss: Double? = nil) {
        self.layers = layers
        self.distance = distance
        self.loss = loss
    }
}

extension Similarity {
    /// The blocks of a size, the nearest first, among equals the first.
    ///
    /// - Parameters:
    ///   - size: layers in the block, from 1 to `layers - 1`.
    ///   - overAllTokens: whether the mean over all tokens decides, where there is one.
    ///   - includesLast: whether the last layer may be cut too.
    public func nearestBlocks(size: Int, overAllTokens: Bool = false, includesLast: Bool = false) -> [Block] {
        let distances = overAllTokens ? all ?? last : last
        guard size > 0, size < layers else { return [] }
        let end = includesLast ? layers : layers - 1
        guard size <= end else { return [] }
        let blocks = (0...end - size).map { start in
            Block(layers: start..<start + size, distance: distances[start][start + size])
        }
        return blocks.sorted { ($0.distance, $0.layers.lowerBound) < ($1.distance, $1.layers.lowerBound) }
    }

    /// The nearest block of every size.
    public func chosenBlocks(overAllTokens: Bool = false, includesLast: Bool = false) -> [Block] {
        (1..<max(layers, 1)).compactMap {
            nearestBlocks(size: $0, overAllTokens: overAllTokens, includesLast: includesLast).first
        }
    }
}

/// The block that is cut without any data: the deepest layers but the last.
public enum SimpleBlock {
    /// The layers `layers - size - 1` to `layers - 2`; `nil` when that leaves nothing.
    public static func layers(size: Int, of layers: Int) -> Range<Int>? {
        guard size > 0, size < layers else { return nil }
        return layers - size - 1..<layers - 1
    }
}
