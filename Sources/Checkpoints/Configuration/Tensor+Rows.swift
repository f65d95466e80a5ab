package import Formats

extension Tensor {
    /// The tensor with its rows as the outermost axis of a matrix: a vector has rows of one element, a stack of matrices
    /// the rows of all.
    ///
    /// - Throws: for a tensor that has no rows to move.
    package func asMatrix(file: String) throws(CheckpointError) -> Tensor {
        if shape.count == 2 { return self }
        if shape.count == 3 {
            return Tensor(name: name, dtype: dtype, shape: [rowCount, rowLength], recipe: recipe)
        }
        guard shape.count == 1, dtype.blockCount == 1 else {
            throw CheckpointError(
                file: file, tensor: name, "of type \(dtype) and shape \(shape) has no rows to reorder")
        }
        return Tensor(name: name, dtype: dtype, shape: [count, 1], recipe: .computed(Reshaped(source: self)))
    }

    /// Some rows of a matrix in another order.
    package func taking(_ rows: RowMap) -> Tensor {
        Tensor(
            name: name, dtype: dtype, shape: [rows.count] + shape.dropFirst(),
            recipe: recipe.taking(rows, rowByteCount: rowByteCount))
    }

    /// A matrix with the number of dimensions of another tensor: one column as a vector, or as many matrices as a stack
    /// has.
    package func shaped(like other: Tensor) -> Tensor {
        switch other.shape.count {
        case 1: Tensor(name: name, dtype: dtype, shape: [count], recipe: .computed(Reshaped(source: self)))
        case 3 where rowCount % other.shape[0] == 0:
            Tensor(
                name: name, dtype: dtype, shape: [other.shape[0], rowCount / other.shape[0], rowLength], recipe: recipe)
        default: self
        }
    }
}

extension Settings {
    /// The rows of a role, extracted from those of its stored tensor, in the order of the role.
    package func rows(_ part: TensorPart, of tensor: Tensor, file: String) throws(CheckpointError) -> Tensor {
        guard part.pairedHeads != nil || !part.dims.isEmpty else { return tensor }
        let matrix = try tensor.asMatrix(file: file)
        let rows = try rows(of: part, rowCount: matrix.shape[0], tensor: tensor.name, file: file)
        return rows.map(matrix.taking)?.shaped(like: tensor) ?? tensor
    }
}

/// The same bytes in rows of another length.
struct Reshaped: RowSource {
    let source: Tensor

    var description: String { "\(source.recipe)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        // Vectors are small: all of it is read for any part.
        let size = output.count / max(1, rows.count)
        try source.withBytes(rows: 0..<source.rowCount) { bytes in
            let start = rows.lowerBound * size
            output.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + rows.count * size]))
        }
    }
}
