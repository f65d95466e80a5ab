internal import Checkpoints
internal import Formats
package import Weights

/// Which weight matrix an adapter changes: a layer, and the role of the matrix in it.
package struct AdapterPosition: Hashable, Comparable, Sendable {
    /// The layer.
    package let layer: Int
    /// The role of the matrix.
    package let role: ProductRole

    /// A matrix of a layer.
    package init(layer: Int, role: ProductRole) {
        self.layer = layer
        self.role = role
    }

    /// Orders positions as a forward pass reaches them.
    package static func < (a: AdapterPosition, b: AdapterPosition) -> Bool {
        let roles = ProductRole.allCases
        return (a.layer, roles.firstIndex(of: a.role) ?? 0) < (b.layer, roles.firstIndex(of: b.role) ?? 0)
    }
}

extension DecoderModel {
    /// The linear map at a position; `nil` where the layer has no such matrix, and for experts, routers and the output
    /// matrix, which take no adapters.
    package func linear(_ position: AdapterPosition) -> Linear? { layers[position.layer].linear(position.role) }

    /// Whether a weight is stored as a tensor of its own: not transposed, and not a part of another tensor.
    package func isStoredWhole(_ role: ProductRole) -> Bool {
        guard let known = checkpoint.architecture?.tensor(role: role.rawValue), let part = checkpoint.part(of: known)
        else {
            return true
        }
        return part.dims.isEmpty && !part.isTransposed && part.adds == 0
    }

    /// The model with other adapters; where `adapter` returns `nil` there is none.
    package func adapted(_ adapter: (AdapterPosition) -> Linear.Adapter?) -> DecoderModel {
        var result = self
        result.layers = layers.enumerated().map { number, layer in
            layer.adapted { adapter(AdapterPosition(layer: number, role: $0)) }
        }
        return result
    }
}

extension DecoderModel.Layer {
    fileprivate func linear(_ role: ProductRole) -> Linear? {
        switch role {
        case .query: query
        case .key: key
        case .value: value
        case .attentionOutput: attentionOutput
        case .gate: dense?.gate
        case .up: dense?.up
        case .down: dense?.down
        case .router, .expertsGate, .expertsUp, .expertsDown, .sharedGate, .sharedUp, .sharedDown, .output: nil
        }
    }

    fileprivate func adapted(_ adapter: (ProductRole) -> Linear.Adapter?) -> DecoderModel.Layer {
        func changed(_ linear: Linear, _ role: ProductRole) -> Linear {
            Linear(linear.weight, bias: linear.bias, adapter: adapter(role))
        }
        var result = self
        result.query = changed(query, .query)
        result.key = changed(key, .key)
        result.value = changed(value, .value)
        result.attentionOutput = changed(attentionOutput, .attentionOutput)
        if let dense {
            result.feedForward = .dense(
                FeedForward(
                    gate: dense.gate.map { changed($0, .gate) }, up: changed(dense.up, .up),
                    down: changed(dense.down, .down), activation: dense.activation))
        }
        return result
    }
}
