internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// The rows of a tensor in another element type, converted through f32: a cast or a quantization.
struct RecodedRows: ValueRows {
    let source: Tensor
    let dtype: DType
    /// The importance of each column of each matrix; `nil` when all columns have equal weight.
    var importance: ImportanceMatrix.Entry?
    /// The check for values that the type cannot hold; `nil` when they are allowed.
    var finiteCheck: FiniteCheck?
    /// Whether its f32 values are those of the source: later edits then round once, and only bytes are rounded here.
    var givesSourceValues = false

    var description: String {
        "\(source.dtype) to \(dtype)\(importance == nil ? "" : " by importance") of \(source.recipe)"
    }

    func write(
        rows: Range<Int>, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        let count = rows.count * source.rowLength
        if dtype == .f32 {
            guard let base = output.bindMemory(to: Float.self).baseAddress else { return }
            return try source.writeValues(rows: rows, into: base)
        }
        let values = UnsafeMutablePointer<Float>.allocate(capacity: count)
        defer { values.deallocate() }
        try source.writeValues(rows: rows, into: values)
        encode(values, rows: rows, into: output)
        try finiteCheck?.check(values, rows: rows, encoded: UnsafeRawBufferPointer(output))
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        guard dtype.blockCount == 1 else { return false }
        try source.writeValues(rows: rows, columns: columns, into: output)
        if dtype != .f32, !givesSourceValues { dtype.round(output, count: rows.count * columns.count) }
        return true
    }

    /// Encodes rows, each matrix with its own column importance.
    private func encode(
        _ values: UnsafePointer<Float>, rows: Range<Int>, into output: UnsafeMutableRawBufferPointer
    ) {
        let length = source.rowLength
        guard let importance else {
            Codec.encode(dtype, values, rows: rows.count, rowLength: length, into: output)
            return
        }
        let height = source.shape.count < 2 ? 1 : source.shape[source.shape.count - 2]
        let rowByteCount = output.count / max(1, rows.count)
        var row = rows.lowerBound
        while row < rows.upperBound {
            let matrix = row / height
            let end = min(rows.upperBound, (matrix + 1) * height)
            let index = row - rows.lowerBound
            Codec.encode(
                dtype, values + index * length, rows: end - row, rowLength: length,
                importance: importance.weights(matrix * length..<(matrix + 1) * length),
                into: UnsafeMutableRawBufferPointer(rebasing: output[(index * rowByteCount)...]))
            row = end
        }
    }
}

extension Tensor {
    /// The tensor in another element type; unchanged when it has that type already.
    ///
    /// - Parameters:
    ///   - importance: the importance of its columns.
    ///   - refusesNonfinite: whether values that the type cannot hold throw when rows are encoded.
    /// - Throws: when the source type cannot be decoded or the target type cannot be encoded.
    func recoded(
        as dtype: DType, file: String, importance: ImportanceMatrix.Entry? = nil, refusesNonfinite: Bool = false,
        givesSourceValues: Bool = false
    ) throws(CheckpointError) -> Tensor {
        if dtype == self.dtype { return self }
        if let shown = shownInF32 {
            return try shown.recoded(
                as: dtype, file: file, importance: importance, refusesNonfinite: refusesNonfinite,
                givesSourceValues: givesSourceValues)
        }
        guard Codec.decodes(self.dtype) else {
            throw CheckpointError(
                file: file, tensor: name, "has the type \(self.dtype), which cannot be decoded",
                hint: "types that can be decoded: \(DType.all.filter(Codec.decodes).map(\.name).joined(separator: " "))"
            )
        }
        guard Codec.encodes(dtype) else {
            throw CheckpointError(
                file: file, tensor: name, "cannot be encoded as \(dtype)",
                hint: "types that can be encoded: \(DType.all.filter(Codec.encodes).map(\.name).joined(separator: " "))"
            )
        }
        let check =
            refusesNonfinite && (dtype.isQuantized || dtype == .f16 || dtype == .bf16)
            ? FiniteCheck(source: self, dtype: dtype, file: file) : nil
        let weights = Codec.usesImportance(dtype) ? importance : nil
        let rows = RecodedRows(
            source: self, dtype: dtype, importance: weights, finiteCheck: check, givesSourceValues: givesSourceValues)
        return Tensor(name: name, dtype: dtype, shape: shape, recipe: .computed(rows))
    }

    /// The original, when this tensor is only an f32 view of it; encode from the original then.
    private var shownInF32: Tensor? {
        guard case .computed(let source) = recipe, let rows = source as? RecodedRows, rows.dtype == .f32,
            rows.source.shape == shape
        else { return nil }
        var shown = rows.source
        shown.name = name
        return shown
    }
}
