package import Formats

/// A tensor that a folder of some settings has.
package struct FolderTensor {
    /// Its name in the folder.
    package let name: String
    /// Its shape as it is stored, row-major, outermost first.
    package let shape: [Int]
    /// What it is in the model; the first role of a tensor that several roles share.
    package let role: TensorRole
}

extension Settings {
    /// The tensors of a folder with these settings, in the order of the architecture. Tests, and the overview of what
    /// can be done with a family, make whole models of them.
    ///
    /// - Parameters:
    ///   - layers: the number of layers.
    ///   - isThere: whether the folder has the tensors of a role in a layer.
    /// - Throws: when a setting that decides a shape is missing.
    package func folderTensors(
        layers: Int, where isThere: (TensorRole, _ layer: Int) throws(CheckpointError) -> Bool
    ) throws(CheckpointError) -> [FolderTensor] {
        var tensors: [FolderTensor] = [], names: Set<String> = []
        for role in architecture.tensors {
            guard let part = role.huggingFace else { continue }
            for layer in 0..<(role.isPerLayer ? layers : 1) where try isThere(role, layer) {
                var shape = try role.shape.map { (extent) throws(CheckpointError) in try length(extent) }
                // A tensor that several roles share has the rows of all.
                if !part.dims.isEmpty { shape[0] = try grid(of: part).sizes.checkedProduct ?? 0 }
                if part.isTransposed { shape.reverse() }
                for expert in 0..<(part.isPerExpert ? shape.removeFirst() : 1) {
                    let name = part.name(layer: layer, expert: expert)
                    guard names.insert(name).inserted else { continue }
                    tensors.append(FolderTensor(name: name, shape: shape, role: role))
                }
            }
        }
        return tensors
    }
}
