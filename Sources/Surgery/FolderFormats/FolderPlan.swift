public import Checkpoints
internal import Formats
internal import Kernels
internal import Parallel
internal import Weights

/// A checkpoint whose weights will be packed, and what became of its matrices.
public struct FolderPlan: Sendable {
    /// The result.
    public var checkpoint: Checkpoint
    /// How many weights are packed.
    public private(set) var quantizedCount = 0
    /// How many of them keep the codes, scales and offsets that they had in another form.
    public internal(set) var exactCount = 0
    /// Weights that would be packed and stay plain, with the reason.
    public private(set) var obstacles: [(tensor: String, reason: String)] = []
    /// Elements of the weights that are packed, and of those that would be and stay plain.
    private var quantizedElements = 0, plainElements = 0
    private var rounded: [Rounded] = []

    /// A weight that was quantized before, in whatever way, and is rounded again.
    struct Rounded: Sendable {
        let before: Tensor
        /// What its parts stand for; `nil` where that is read back from them.
        let after: (any CodedWeight)?
    }

    /// A plan that begins with a checkpoint of plain weights.
    init(checkpoint: Checkpoint) { self.checkpoint = checkpoint }

    /// The share of the elements of all these weights that stays plain.
    public var plainShare: Double { Double(plainElements) / Double(max(1, quantizedElements + plainElements)) }

    /// Counts a weight that is packed.
    mutating func addQuantized(_ weight: Tensor) {
        quantizedCount += 1
        quantizedElements += weight.count
    }

    /// Keeps a weight plain that would be packed.
    mutating func addPlain(_ weight: Tensor, because reason: String) {
        checkpoint.tensors.append(weight)
        obstacles.append((weight.name, reason))
        plainElements += weight.count
    }

    /// How many weights were quantized before and are rounded again.
    public var roundedCount: Int { rounded.count }

    /// The first of them.
    public var firstRounded: String? { rounded.first?.before.name }

    /// Notes that a weight is rounded again into parts.
    mutating func addRounded(_ before: Tensor, parts: [Tensor]) {
        rounded.append(Rounded(before: before, after: parts.lazy.compactMap(FolderPlan.weight).first))
    }

    /// The weight that a part is computed from.
    private static func weight(of part: Tensor) -> (any CodedWeight)? {
        guard case .computed(let source) = part.recipe else { return nil }
        return (source as? any PartRows)?.weight
    }

    /// What the rounding of a weight that was packed before changes.
    public struct Difference: Sendable {
        /// The tensor, by its name when it is plain.
        public let tensor: String
        /// The largest difference of a value.
        public let maximum: Double
        /// The root of the mean square of all differences.
        public let rootMeanSquare: Double
    }

    /// Computes what rounding again changes, for each such weight in order.
    public func differences(threads: Int) throws(CheckpointError) -> [Difference] {
        var result: [Difference] = []
        let readBack =
            rounded.allSatisfy { $0.after != nil }
            ? nil : try QuantFormats.form(of: checkpoint)?.weights(of: checkpoint)
        for weight in rounded {
            let name = weight.before.name
            guard let after = weight.after ?? readBack?[ExactString(name)] else {
                preconditionFailure("\(name): its parts are not read back")
            }
            let columns = weight.before.shape[1]
            let pieces = (0..<weight.before.shape[0]).pieces(of: 4 * Tile.rows(columns: columns))
            var (maximum, squares) = (0.0, 0.0)
            // Sums are taken in order, so that they do not depend on the number of threads.
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
    /// The largest difference of a weight from this one, and the sum of all squared, over some rows.
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

/// The rows of a part, which know the weight that they are a part of.
protocol PartRows: RowSource {
    /// What the parts stand for.
    var weight: any GroupedWeight { get }
}

extension CodeWords: PartRows {}
extension TransposedCodeWords: PartRows {}
extension InterleavedCodeWords: PartRows {}
