internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// Low-rank matrices in f32, kept in an unnamed file until they are written.
struct FactorStore: ~Copyable {
    private var file: UnnamedFile
    private var shapes: [[Int]]
    private var ranges: [Range<Int>]

    init() throws(CheckpointError) {
        // When an initializer of a noncopyable type throws, Swift 6.2 destroys members that have a value twice.
        file = try UnnamedFile(name: "the adapter")
        (shapes, ranges) = ([], [])
    }

    /// Keeps the matrices of a difference.
    mutating func append(_ factors: LowRankFactors) throws(CheckpointError) {
        for side in [factors.b, factors.a] {
            let scratch = Scratch(floats: side.rows * factors.rank), start = file.byteCount
            for row in 0..<side.rows {
                for rank in 0..<factors.rank { scratch.floats[row * factors.rank + rank] = Float(side[row, rank]) }
            }
            try file.append(UnsafeRawBufferPointer(start: scratch.base, count: scratch.byteCount))
            ranges.append(start..<file.byteCount)
            shapes.append([side.rows, factors.rank])
        }
    }

    /// For every difference its factors [rows, rank] and [columns, rank], and the file in which they are.
    consuming func pairs(
        as dtype: DType, name: String
    ) throws(CheckpointError) -> (pairs: ArraySlice<(left: Tensor, right: Tensor)>, file: MappedFile) {
        let shapes = shapes
        let (file, recipes) = try file.mapped(ranges)
        let tensors = try recipes.indices.map { (index) throws(CheckpointError) in
            try Tensor(name: "factor", dtype: .f32, shape: shapes[index], recipe: recipes[index])
                .recoded(as: dtype, file: name, refusesNonfinite: true)
        }
        return (stride(from: 0, to: tensors.count, by: 2).map { (tensors[$0], tensors[$0 + 1]) }[...], file)
    }
}

extension ExtractionPlan.Change {
    /// The change of a module, from the factors for the rows and for the columns of its weight.
    func pair(_ left: Tensor, _ right: Tensor, _ module: String) -> AdapterFolder.Pair {
        var (a, b) = isTransposed ? (left, right) : (right, left)
        (a.name, b.name) = (module, module)
        return AdapterFolder.Pair(module: module, a: a.transposed(), b: b)
    }
}

extension ExtractionPlan.StackChange {
    /// The change of one expert, from the factors for the rows and for the columns of its matrix.
    func block(_ left: Tensor, _ right: Tensor) -> ExpertMatrices.Block {
        parameter.isTurned ? .init(a: left.transposed(), b: right) : .init(a: right.transposed(), b: left)
    }
}
