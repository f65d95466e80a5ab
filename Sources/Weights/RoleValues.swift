package import Checkpoints
package import Formats

/// A role's values and its stored tensor, each made of the other.
extension Settings {
    /// A role, extracted from its stored tensor, with rotary pairs as halves.
    package func role(_ part: TensorPart, of tensor: Tensor, file: String) throws(CheckpointError) -> Tensor {
        let rows = try rows(part, of: part.isTransposed ? tensor.turned(file: file) : tensor, file: file)
        return part.adds == 0 ? rows : try rows.adding(Float(part.adds), file: file)
    }

    /// A role as a forward pass reads it: rotary pairs keep their stored order, because the plan says how to rotate them.
    package func weight(_ part: TensorPart, of tensor: Tensor, file: String) throws(CheckpointError) -> Tensor {
        if part.pairedHeads == nil { return try role(part, of: tensor, file: file) }
        return part.adds == 0 ? tensor : try tensor.adding(Float(part.adds), file: file)
    }

    /// The values that are stored for a role, or for all roles of a tensor one after the other: the inverse of `role`,
    /// except for the order of rows.
    package func stored(_ part: TensorPart, from tensor: Tensor, file: String) throws(CheckpointError) -> Tensor {
        let values = part.adds == 0 ? tensor : try tensor.adding(-Float(part.adds), file: file)
        return part.isTransposed ? try values.turned(file: file) : values
    }
}

extension Tensor {
    /// The transposed matrix, in f32 when the matrix is quantized.
    fileprivate func turned(file: String) throws(CheckpointError) -> Tensor {
        guard shape.count == 2 else {
            throw CheckpointError(file: file, tensor: name, "of shape \(shape) is not a matrix")
        }
        return try dtype.blockCount == 1 ? transposed() : adding(0, file: file).transposed()
    }
}
