internal import Formats

extension Tensor {
    /// A tensor whose bytes a program holds.
    ///
    /// - Parameters:
    ///   - name: the name in the checkpoint that it is for.
    ///   - dtype: the type of the elements.
    ///   - shape: row-major, outermost first; empty for a scalar.
    ///   - bytes: all elements, little-endian, as safetensors and GGUF store them.
    /// - Throws: when the type cannot have the shape, or it takes another number of bytes.
    public init(name: String, dtype: DType, shape: [Int], bytes: [UInt8]) throws(CheckpointError) {
        let needed = try Tensor.checkedByteCount(name, dtype, shape)
        guard bytes.count == needed else {
            throw CheckpointError(
                tensor: name,
                "has \(bytes.count.grouped) bytes; \(dtype.name) of shape \(shape) takes \(needed.grouped)")
        }
        self.init(name: name, dtype: dtype, shape: shape, recipe: .computed(HeldBytes(bytes: bytes)))
        recipe = .computed(HeldBytes(bytes: bytes, rowByteCount: rowByteCount))
    }

    /// A tensor of f32 values that a program holds.
    ///
    /// - Throws: when the shape has another number of elements.
    public init(name: String, shape: [Int], values: [Float]) throws(CheckpointError) {
        try self.init(name: name, dtype: .f32, shape: shape, bytes: values.withUnsafeBytes { [UInt8]($0) })
    }

    /// A tensor whose rows are made on request, so that it need not fit into memory.
    ///
    ///     let ramp = try Tensor(name: "ramp", dtype: .f32, shape: [rows, 4096], identity: "ramp") { rows, output in
    ///         let values = output.assumingMemoryBound(to: Float.self)
    ///         for index in values.indices { values[index] = Float(rows.lowerBound * 4096 + index) }
    ///     }
    ///
    /// - Parameters:
    ///   - name: the name in the checkpoint that it is for.
    ///   - dtype: the type of the elements.
    ///   - shape: row-major, outermost first; empty for a scalar.
    ///   - identity: everything that decides the bytes, as text: `--dry-run` prints it, and a resumed run takes two tensors
    ///     with the same text for the same.
    ///   - makeRows: fills the output with the bytes of some rows. It is called from any thread, in any order, and gives the
    ///     same bytes for a row each time. A row is the innermost dimension.
    /// - Throws: when the type cannot have the shape.
    public init(
        name: String, dtype: DType, shape: [Int], identity: String,
        makeRows:
            @escaping @Sendable (
                _ rows: Range<Int>, _ output: UnsafeMutableRawBufferPointer
            ) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        _ = try Tensor.checkedByteCount(name, dtype, shape)
        self.init(name: name, dtype: dtype, shape: shape, recipe: .computed(HeldBytes(bytes: [])))
        recipe = .computed(MadeRows(identity: identity, rowByteCount: rowByteCount, make: makeRows))
    }

    private static func checkedByteCount(
        _ name: String, _ dtype: DType, _ shape: [Int]
    ) throws(CheckpointError) -> Int {
        guard let byteCount = byteCount(dtype: dtype, shape: shape) else {
            let blocks = dtype.blockCount > 1 ? "; its rows are of whole blocks of \(dtype.blockCount)" : ""
            throw CheckpointError(tensor: name, "cannot be \(dtype.name) of shape \(shape)\(blocks)")
        }
        return byteCount
    }
}

/// Bytes in memory.
private struct HeldBytes: RowSource {
    let bytes: [UInt8]
    var rowByteCount = 0

    var description: String { "\(bytes.count.grouped) bytes in memory" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let start = rows.lowerBound * rowByteCount  // fits: a position in the bytes
        let end = rows.upperBound * rowByteCount  // fits: a position in the bytes
        bytes[start..<end].withUnsafeBytes { output.copyMemory(from: $0) }
    }
}

/// Rows that a closure makes.
private struct MadeRows: RowSource {
    let identity: String
    let rowByteCount: Int
    let make: @Sendable (Range<Int>, UnsafeMutableRawBufferPointer) throws(CheckpointError) -> Void

    var description: String { identity }
    var fingerprint: String { "MadeRows(\(rowByteCount),\(identity))" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let byteCount = rows.count * rowByteCount  // fits: a part of the tensor, whose bytes were counted
        try make(rows, UnsafeMutableRawBufferPointer(rebasing: output[..<byteCount]))
    }
}
