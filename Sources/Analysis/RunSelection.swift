/// A run of neighbouring layers that could be cut.
public struct LayerRun: Sendable, Equatable {
    /// The layers, 0-based and half-open.
    public let layers: Range<Int>
    /// The angular distance between the input of the first and the input of the layer after the last.
    public let distance: Double
    /// The measured loss of the model without the run, in nats per token; `nil` when it was not measured.
    public var loss: Double?
    /// The standard error of that loss.
    public var lossError: Double?

    /// A run.
    public init(layers: Range<Int>, distance: Double, loss: Double? = nil) {
        self.layers = layers
        self.distance = distance
        self.loss = loss
    }
}

extension Similarity {
    /// The runs of a size by ascending distance; runs of equal distance by their first layer.
    ///
    /// - Parameters:
    ///   - size: the number of layers in a run, from 1 to `layers - 1`.
    ///   - overAllTokens: whether to use the mean distance over all tokens, if measured.
    ///   - includesLast: whether a run may include the last layer.
    public func nearestRuns(size: Int, overAllTokens: Bool = false, includesLast: Bool = false) -> [LayerRun] {
        let distances = overAllTokens ? all ?? last : last
        guard size > 0, size < layers else { return [] }
        let end = includesLast ? layers : layers - 1
        guard size <= end else { return [] }
        let runs = (0...end - size).map { start in
            LayerRun(layers: start..<start + size, distance: distances[start][start + size])
        }
        return runs.sorted { ($0.distance, $0.layers.lowerBound) < ($1.distance, $1.layers.lowerBound) }
    }

    /// The run of least distance for each size.
    public func nearestRunOfEachSize(overAllTokens: Bool = false, includesLast: Bool = false) -> [LayerRun] {
        (1..<max(layers, 1)).compactMap {
            nearestRuns(size: $0, overAllTokens: overAllTokens, includesLast: includesLast).first
        }
    }
}

/// The run to cut with no text at all: the last layers except the final one.
public enum SimpleRun {
    /// The layers `layers - size - 1` to `layers - 2`; `nil` when that is not possible.
    public static func layers(size: Int, of layers: Int) -> Range<Int>? {
        guard size > 0, size < layers else { return nil }
        return layers - size - 1..<layers - 1
    }
}
