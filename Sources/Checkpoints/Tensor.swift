public import Formats

/// One tensor of a checkpoint: what it is called, what it holds, and where its bytes come from.
public struct Tensor: Sendable {
    /// The name, in the naming of its checkpoint.
    public var name: String
    /// The element type.
    public var dtype: DType
    /// The shape, row-major, outermost first; empty for a scalar.
    public var shape: [Int]
    /// Where the bytes come from.
    public var recipe: Recipe
    /// The bytes of the whole tensor.
    public let byteCount: Int

    /// Describes a tensor whose sizes were checked before.
    ///
    /// - Precondition: the last dimension fills whole blocks and the byte count fits.
    package init(name: String, dtype: DType, shape: [Int], recipe: Recipe) {
        guard let byteCount = Tensor.byteCount(dtype: dtype, shape: shape) else {
            preconditionFailure("\(name): \(dtype) cannot have shape \(shape)")
        }
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.recipe = recipe
        self.byteCount = byteCount
    }

    /// The bytes that a shape needs; `nil` when rows do not fill blocks or the number overflows.
    package static func byteCount(dtype: DType, shape: [Int]) -> Int? {
        var count = 1
        for dimension in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard dimension >= 0, !overflow else { return nil }
            count = product
        }
        if dtype.isQuantized, let row = shape.last, row % dtype.blockCount != 0 { return nil }
        return dtype.byteCount(of: count)
    }

    /// How many elements it has.
    public var count: Int { shape.reduce(1, *) }

    /// Elements in one row, the innermost dimension; 1 for a scalar.
    public var rowLength: Int { shape.last ?? 1 }

    /// How many rows it has; 0 when it is empty.
    public var rowCount: Int { rowLength == 0 ? 0 : count / rowLength }

    /// Bytes in one row.
    public var rowByteCount: Int { rowCount == 0 ? 0 : byteCount / rowCount }

    /// Calls `body` with the bytes of some rows: straight from the map where they lie together,
    /// else from a buffer that lives as long as the call.
    public func withBytes<Result>(
        rows: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Result
    ) throws(CheckpointError) -> Result {
        try recipe.withBytes(rows: rows, rowByteCount: rowByteCount, body)
    }
}
