public import Checkpoints
internal import Formats
internal import Kernels
internal import Parallel
internal import Weights

/// The checkpoint that quantization gives, and what happens to each matrix.
public struct FolderPlan: Sendable {
    /// The result.
    public var checkpoint: Checkpoint
    /// The number of weights that are quantized.
    public private(set) var quantizedCount = 0
    /// The number of those that keep the codes, scales and zero points of another format.
    public internal(set) var exactCount = 0
    /// Weights that cannot be quantized and stay as they are, with the reason.
    public private(set) var obstacles: [(tensor: String, reason: String)] = []
    /// The number of elements that are quantized, and of those that stay as they are.
    private var quantizedElements = 0, plainElements = 0
    private var rounded: [Rounded] = []

    /// A weight that was quantized already and is rounded again.
    struct Rounded: Sendable {
        let before: Tensor
        /// The values of its parts; `nil` when these are decoded from the parts.
        let after: (any CodedWeight)?
    }

    /// A plan for a checkpoint with dequantized weights.
    init(checkpoint: Checkpoint) { self.checkpoint = checkpoint }

    /// The share of these elements that stays unquantized.
    public var plainShare: Double { Double(plainElements) / Double(max(1, quantizedElements + plainElements)) }

    /// Counts a quantized weight.
    mutating func addQuantized(_ weight: Tensor) {
        quantizedCount += 1
        quantizedElements += weight.count
    }

    /// Adds a weight that stays as it is.
    mutating func addPlain(_ weight: Tensor, because reason: String) {
        checkpoint.tensors.append(weight)
        obstacles.append((weight.name, reason))
        plainElements += weight.count
    }

    /// The number of weights that were quantized already and are rounded again.
    public var roundedCount: Int { rounded.count }

    /// The name of the first.
    public var firstRounded: String? { rounded.first?.before.name }

    /// Adds a weight that was quantized already and is rounded again.
    mutating func addRounded(_ before: Tensor, parts: [Tensor]) {
        rounded.append(Rounded(before: before, after: parts.lazy.compactMap(FolderPlan.weight).first))
    }

    /// The weight from which a part is computed.
    private static func weight(of part: Tensor) -> (any CodedWeight)? {
        guard case .computed(let source) = part.recipe else { return nil }
        return (source as? any PartRows)?.weight
    }

    /// The error of rounding an already quantized weight again.
    public struct Difference: Sendable {
        /// The name of the dequantized tensor.
        public let tensor: String
        /// The largest absolute difference.
        public let maximum: Double
        /// The root mean square of the differences.
        public let rootMeanSquare: Double
    }

    /// Computes the error of rounding again for each of these weights, in order.
    public func differences(threads: Int) throws(CheckpointError) -> [Difference] {
        var result: [Difference] = []
        let readBack =
            rounded.allSatisfy { $0.after != nil }
            ? nil : try QuantFormats.format(of: checkpoint)?.weights(of: checkpoint)
        for weight in rounded {
            let name = weight.before.name
            guard let after = weight.after ?? readBack?[ExactString(name)] else {
                preconditionFailure("\(name): its parts cannot be decoded")
            }
            let columns = weight.before.shape[1]
            let pieces = (0..<weight.before.shape[0]).pieces(of: 4 * Tile.rows(columns: columns))
            var (maximum, squares) = (0.0, 0.0)
            // Parts are summed in order, so the result does not depend on the number of threads.
            let parts = try Parallel.map(pieces.count, workers: threads) { (index, _) throws(CheckpointError) in
                try weight.before.difference(to: after, rows: pieces[index], columns: columns)
            }
            for part in parts {
                maximum = max(maximum, part.maximum)
                squares += part.squares
            }
            let count = Double(weight.before.shape[0]) * Double(columns)
            result.append(
                Difference(tensor: name, maximum: maximum, rootMeanSquare: (squares / count).squareRoot()))
        }
        return result
    }
}

extension Tensor {
    /// The largest absolute difference between a weight and this one, and the sum of squared differences, over a range
    /// of rows.
    fileprivate func difference(
        to after: any CodedWeight, rows: Range<Int>, columns: Int
    ) throws(CheckpointError) -> (maximum: Double, squares: Double) {
        let count = rows.count * columns
        let values = Scratch(floats: 2 * count)
        try writeValues(rows: rows, columns: 0..<columns, into: values.floats)
        try after.writeValues(rows: rows, columns: 0..<columns, into: values.floats + count)
        var (maximum, squares) = (Float(0), 0.0)
        for index in 0..<count {
            let difference = abs(values.floats[index] - values.floats[count + index])
            maximum = max(maximum, difference)
            squares += Double(difference) * Double(difference)
        }
        return (Double(maximum), squares)
    }
}

/// Rows of a part, with the weight that they belong to.
protocol PartRows: RowSource {
    /// The values that the parts decode to.
    var weight: any GroupedWeight { get }
}

extension CodeWords: PartRows {}
extension TransposedCodeWords: PartRows {}
extension InterleavedCodeWords: PartRows {}
