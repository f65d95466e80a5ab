public import Checkpoints
internal import Formats
internal import Kernels
internal import Parallel
internal import Weights

/// What a merge changes of each weight, and how much of it is left when the weight is rounded to its type.
public struct MergeReport: Sendable {
    /// The change of one weight.
    public struct Module: Sendable {
        /// The tensor of the output.
        public let tensor: String
        /// The module, as the adapters name it.
        public let module: String
        /// The rank of the change.
        public let rank: Int
        /// The factors of the products, with the weights of their adapters.
        public let scales: [Float]
        /// The Frobenius norm of the low-rank change.
        public let norm: Double
        /// The share of the change that is left after rounding: the inner product of the change with the difference
        /// that the rounded output makes, divided by the squared norm of the change. 1 when nothing is lost, 0 when
        /// everything is.
        public let surviving: Double
    }

    /// The weights with low-rank changes, in the order of the output.
    public let modules: [Module]

    /// Rows of a weight that are measured: groups of neighbors, spread over all rows.
    private static let (groupCount, groupSize) = (4, 8)

    /// Measures a merge. Of each weight at most 32 rows are computed.
    ///
    /// - Parameters:
    ///   - merged: the checkpoint with adapters, before values are rounded.
    ///   - base: the same without adapters.
    ///   - output: the checkpoint with adapters, as it is written.
    ///   - baseOutput: the same without adapters.
    ///   - threads: how many threads run.
    /// - Precondition: tensors have the same names in all four.
    public init(
        merged: Checkpoint, base: Checkpoint, output: Checkpoint, baseOutput: Checkpoint, threads: Int
    ) throws(CheckpointError) {
        let plain = DequantizeFolder(to: .f32)
        let outputs = Lookup(try plain.apply(to: output)), baseOutputs = Lookup(try plain.apply(to: baseOutput))
        let bases = Lookup(base)
        let changed = merged.tensors.compactMap { tensor in tensor.recipe.merged.map { (tensor, $0) } }
        let found = try Parallel.map(changed.count, workers: threads) { (index, _) throws(CheckpointError) -> Module? in
            let (tensor, rows) = changed[index]
            guard let base = bases[tensor.name], let output = outputs[tensor.name],
                let baseOutput = baseOutputs[tensor.name], base.shape == tensor.shape
            else { return nil }
            return Module(
                tensor: tensor.name, module: rows.modules.first?.name ?? "", rank: rows.rank,
                scales: rows.modules.map(\.scale), norm: try rows.norm(),
                surviving: try MergeReport.surviving(tensor, base, output, baseOutput))
        }
        modules = found.compactMap { $0 }
    }

    private struct Lookup {
        private let tensors: [ExactString: Tensor]

        init(_ checkpoint: Checkpoint) {
            tensors = Dictionary(
                checkpoint.tensors.map { (ExactString($0.name), $0) }, uniquingKeysWith: { first, _ in first })
        }

        subscript(name: String) -> Tensor? { tensors[ExactString(name)] }
    }

    private static func surviving(
        _ merged: Tensor, _ base: Tensor, _ output: Tensor, _ baseOutput: Tensor
    ) throws(CheckpointError) -> Double {
        let isSmall = merged.rowCount <= groupCount * groupSize
        let size = isSmall ? merged.rowCount : groupSize, groups = isSmall ? 1 : groupCount
        let count = size * merged.rowLength
        let buffers = (0..<4).map { _ in Scratch(floats: count) }
        let values = buffers.map(\.floats)
        var product = 0.0, square = 0.0
        for group in 0..<groups {
            let start = groups == 1 ? 0 : (merged.rowCount - size) * group / (groups - 1)
            for (tensor, target) in zip([merged, base], values) {
                try tensor.writeValues(rows: start..<start + size, into: target)
            }
            for (tensor, target) in zip([output, baseOutput], values[2...]) {
                // The values that a reader of the output decodes.
                try tensor.withBytes(rows: start..<start + size) { bytes in
                    tensor.dtype.decode(bytes, elements: 0..<count, into: target)
                }
            }
            let (merged, base, output, baseOutput) = (values[0], values[1], values[2], values[3])
            for index in 0..<count {
                let change = Double(merged[index]) - Double(base[index])
                product += change * (Double(output[index]) - Double(baseOutput[index]))
                square += change * change
            }
        }
        return withExtendedLifetime(buffers) { square == 0 ? 1 : product / square }
    }
}

extension Recipe {
    /// The rows with an adapter added from which these rows are computed; `nil` when there are none.
    fileprivate var merged: MergedRows? {
        switch self {
        case .mapped, .archived: nil
        case .rows(let source, _): source.merged
        case .joined(let join): join.parts.lazy.compactMap(\.recipe.merged).first
        case .computed(let source as MergedRows): source
        case .computed(let source as RecodedRows): source.source.recipe.merged
        case .computed(let source as DoRARows): source.merged.recipe.merged
        case .computed(let source as ReplacedRows): source.base.recipe.merged
        case .computed: nil
        }
    }
}
