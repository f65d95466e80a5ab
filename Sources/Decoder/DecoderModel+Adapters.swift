internal import Checkpoints
internal import Formats
package import Weights

/// The product of a layer that an adapter changes.
package struct AdapterPosition: Hashable, Comparable, Sendable {
    /// The layer.
    package let layer: Int
    /// The product.
    package let role: ProductRole

    /// A product of a layer.
    package init(layer: Int, role: ProductRole) {
        self.layer = layer
        self.role = role
    }

    /// In the order in which a pass computes them.
    package static func < (a: AdapterPosition, b: AdapterPosition) -> Bool {
        let roles = ProductRole.allCases
        return (a.layer, roles.firstIndex(of: a.role) ?? 0) < (b.layer, roles.firstIndex(of: b.role) ?? 0)
    }
}

extension DecoderModel {
    /// The linear map of a product; `nil` for the output matrix, which belongs to no layer.
    package func linear(_ position: AdapterPosition) -> Linear? { layers[position.layer].linear(position.role) }

    /// Whether the weight of a product is a tensor of the file as it is: not transposed, and not a part of another one.
    package func isStoredWhole(_ role: ProductRole) -> Bool {
        guard let known = checkpoint.architecture?.tensor(role: role.rawValue), let part = checkpoint.part(of: known)
        else {
            return true
        }
        return part.dims.isEmpty && !part.isTransposed && part.adds == 0
    }

    /// The same model with adapters in place of those that it has.
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
