package import Formats

extension Settings {
    /// The stored tensor of a role. When every expert has a tensor of its own, the result is the stack of all of them,
    /// [experts, …], whose rows still come from their files.
    ///
    /// - Parameter find: the tensor of a name.
    /// - Returns: `nil` when there is none.
    /// - Throws: when some experts have a tensor and others have none or another one, or when there are more of them
    ///   than the configuration says.
    package func stored(
        _ part: TensorPart, of role: TensorRole, layer: Int?, file: String, _ find: (String) -> Tensor?
    ) throws(CheckpointError) -> Tensor? {
        for name in part.names {
            let tensor =
                name.isPerExpert
                ? try experts(name, of: role, layer: layer, file: file, find) : find(name.name(layer: layer))
            if let tensor { return tensor }
        }
        return nil
    }

    /// How many experts a role has.
    package func expertCount(_ role: TensorRole) throws(CheckpointError) -> Int {
        guard role.shape.count >= 2 else { preconditionFailure("\(role.role) is not a stack") }
        return try length(role.shape[0])
    }

    private func experts(
        _ name: NameTemplate, of role: TensorRole, layer: Int?, file: String, _ find: (String) -> Tensor?
    ) throws(CheckpointError) -> Tensor? {
        let count = try expertCount(role)
        let found = (0..<count).map { find(name.name(layer: layer, expert: $0)) }
        guard let first = found.lazy.compactMap(\.self).first else { return nil }
        if let other = find(name.name(layer: layer, expert: count)) {
            throw CheckpointError(
                file: file, tensor: other.name, "is of an expert that the configuration, which has \(count), does not")
        }
        var parts: [RowJoin.Part] = []
        for expert in 0..<count {
            let own = name.name(layer: layer, expert: expert)
            guard let tensor = found[expert] else { throw CheckpointError(file: file, tensor: own, "is missing") }
            guard tensor.dtype == first.dtype, tensor.shape == first.shape,
                tensor.shape.count == role.shape.count - 1
            else {
                throw CheckpointError(
                    file: file, tensor: own,
                    "is \(tensor.dtype) \(tensor.shape); '\(first.name)' is \(first.dtype) \(first.shape)")
            }
            parts.append(RowJoin.Part(recipe: tensor.recipe, run: tensor.rowCount))
        }
        let shape = [count] + first.shape
        guard Tensor.byteCount(dtype: first.dtype, shape: shape) != nil else {
            throw CheckpointError(
                file: file, tensor: first.name, "of \(count) experts has more bytes than can be counted")
        }
        return Tensor(name: first.name, dtype: first.dtype, shape: shape, recipe: .joined(RowJoin(parts)))
    }
}

extension Tensor {
    /// One matrix of a stack of matrices, or one vector of a stack of vectors.
    ///
    /// - Precondition: the tensor is a stack with that many members.
    package func matrix(_ index: Int) -> Tensor {
        precondition(shape.count >= 2 && 0..<shape[0] ~= index, "\(name) has no member \(index)")
        let count = shape.count == 2 ? 1 : shape[1]
        let rows = RowMap(axes: [RowMap.Axis(count: count, stride: 1)], first: index * count)  // fits: a row
        return Tensor(
            name: name, dtype: dtype, shape: Array(shape.dropFirst()),
            recipe: recipe.taking(rows, rowByteCount: rowByteCount))
    }
}
