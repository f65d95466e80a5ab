public import Formats

/// A tensor of a checkpoint: name, type, shape, and the source of its bytes.
public struct Tensor: Sendable {
    /// The name, in the naming of its checkpoint.
    public var name: String
    /// The element type.
    public let dtype: DType
    /// The shape, row-major, outermost first; empty for a scalar.
    public let shape: [Int]
    /// Where the bytes come from.
    public package(set) var recipe: Recipe
    /// The bytes of the whole tensor.
    public let byteCount: Int
    /// How many elements it has.
    public let count: Int

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
        count = shape.contains(0) ? 0 : shape.reduce(1, *)  // fits: the bytes were counted
    }

    /// A tensor whose sizes the reader of a file has just computed.
    init(name: String, dtype: DType, shape: [Int], recipe: Recipe, byteCount: Int, count: Int) {
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.recipe = recipe
        self.byteCount = byteCount
        self.count = count
    }

    /// The bytes that a shape needs; `nil` when rows do not fill blocks or the number overflows.
    package static func byteCount(dtype: DType, shape: [Int]) -> Int? {
        guard shape.allSatisfy({ $0 >= 0 }), !dtype.isQuantized || (shape.last ?? 1) % dtype.blockCount == 0 else {
            return nil
        }
        // An empty tensor may have dimensions whose product is beyond any number.
        return shape.contains(0) ? 0 : shape.checkedProduct.flatMap(dtype.byteCount(of:))
    }

    /// Elements in one row, the innermost dimension; 1 for a scalar. Elements of less than a byte fill bytes over the
    /// whole tensor, not row by row: where a row ends inside a byte, all are one row.
    public var rowLength: Int {
        let length = shape.last ?? 1
        return length % dtype.blockCount == 0 ? length : count
    }

    /// How many rows it has; 0 when it is empty.
    public var rowCount: Int { rowLength == 0 ? 0 : count / rowLength }

    /// Bytes in one row.
    public var rowByteCount: Int { rowCount == 0 ? 0 : byteCount / rowCount }

    /// Calls `body` with the bytes of a range of rows: directly from the map when they are contiguous, else from a
    /// buffer that lives as long as the call.
    public func withBytes<Result>(
        rows: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Result
    ) throws(CheckpointError) -> Result {
        try recipe.withBytes(rows: rows, rowByteCount: rowByteCount, body)
    }
}

extension [Int] {
    /// The product, multiplied in order; `nil` when it overflows on the way.
    package var checkedProduct: Int? {
        var product = 1
        for factor in self {
            let (next, overflow) = product.multipliedReportingOverflow(by: factor)
            guard !overflow else { return nil }
            product = next
        }
        return product
    }
}
