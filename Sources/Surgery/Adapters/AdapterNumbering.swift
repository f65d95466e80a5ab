public import Checkpoints
internal import Formats

/// How an adapter numbers the layers of a base from which some were cut.
public struct AdapterNumbering: Sendable {
    /// The model that the layer numbers are from.
    public enum Kind: String, Sendable, CaseIterable {
        /// The model before the cut.
        case original
        /// The model after the cut.
        case cut
    }

    /// The layers that were cut from the base, by their original numbers.
    public let dropped: LayerRuns
    /// How many layers are left.
    public let left: Int
    /// The model that the numbers are from; `nil` to decide by the layers that an adapter names.
    public let kind: Kind?

    /// A numbering for a base that has `left` layers.
    public init(dropped: LayerRuns, left: Int, kind: Kind? = nil) {
        (self.dropped, self.left, self.kind) = (dropped, left, kind)
    }

    /// The model that the numbers of an adapter are from.
    ///
    /// - Throws: when it cannot be told, or when the adapter names layers that the model did not have.
    public func kind(of adapter: Checkpoint) throws(CheckpointError) -> Kind {
        guard adapter.tensors.contains(where: { LayerName($0.name) != nil }) else { return .cut }
        let named = try NamedLayers(of: adapter)
        let before = left + dropped.count
        guard named.count <= before else {
            throw CheckpointError(
                file: adapter.path, "names layer \(named.count - 1); the model had \(before) layers before the cut")
        }
        if named.count > left {
            guard kind != .cut else {
                throw CheckpointError(
                    file: adapter.path, "names layer \(named.count - 1); the model has \(left) layers after the cut",
                    hint: "--adapter-numbering original is for adapters that were trained before the cut")
            }
            return .original
        }
        if let kind { return kind }
        // An adapter of the original model would name some of its last layers too.
        if named.layers.count == left { return .cut }
        throw CheckpointError(
            file: adapter.path,
            "names \(named.layers.count) layers up to layer \(named.count - 1), which may be numbered as before or as "
                + "after the cut",
            hint: "name the numbering: --adapter-numbering original, or cut")
    }
}

extension Checkpoint {
    /// A hint for an adapter that names a tensor that its base does not have.
    func hint(forLayerOf name: String) -> String {
        guard let layer = LayerName(name)?.layer, case let count = layerCount, count > 0, layer >= count else {
            return "the adapter is for another model"
        }
        return
            "\(path) has \(counted(count, "layer")); if others were cut after the training, name them with --adapter-dropped"
    }
}
