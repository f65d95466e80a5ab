internal import Checkpoints
internal import Formats
package import Weights

/// The two parts of a layer that add to the residual stream.
package enum StreamPart: Sendable, CaseIterable {
    /// Attention, by its output product.
    case attention
    /// The MLP, by its last product; with experts by that of the shared one.
    case feedForward
}

extension DecoderModel {
    /// The product by which a part adds to the stream; `nil` where no single product does, because the layer has experts.
    package func product(_ part: StreamPart, of layer: Int) -> Linear? {
        let layer = layers[layer]
        switch (part, layer.feedForward) {
        case (.attention, _): return layer.attentionOutput
        case (.feedForward, .dense(let dense)): return dense.down
        case (.feedForward, .experts(let experts)):
            guard layer.feedForwardPostNorm == nil, let shared = experts.shared, shared.down.bias == nil else {
                return nil
            }
            return shared.down
        }
    }

    /// The role of that product.
    package func role(_ part: StreamPart, of layer: Int) -> ProductRole {
        switch part {
        case .attention: .attentionOutput
        case .feedForward: layers[layer].dense == nil ? .sharedDown : .down
        }
    }

    /// Puts another product in the place of a part's.
    package mutating func replace(_ part: StreamPart, of layer: Int, by linear: Linear) {
        switch (part, layers[layer].feedForward) {
        case (.attention, _): layers[layer].attentionOutput = linear
        case (.feedForward, .dense(var dense)):
            dense.down = linear
            layers[layer].feedForward = .dense(dense)
        case (.feedForward, .experts(var experts)):
            experts.shared?.down = linear
            layers[layer].feedForward = .experts(experts)
        }
    }

    /// The norm of what a part gives; `nil` without one.
    package func norm(behind part: StreamPart, of layer: Int) -> Norm? {
        part == .attention ? layers[layer].attentionPostNorm : layers[layer].feedForwardPostNorm
    }

    /// The role of that norm's weight.
    package func normRole(behind part: StreamPart) -> String {
        part == .attention ? "attention_post_norm" : "ffn_post_norm"
    }

    /// The roles of the weights that all of what a part adds to the stream is proportional to.
    package func addingRoles(_ part: StreamPart, of layer: Int) -> [String] {
        if norm(behind: part, of: layer) != nil {
            return [normRole(behind: part), normRole(behind: part) + "_bias"]
        }
        let roles: [ProductRole] =
            part == .attention ? [.attentionOutput] : hasExperts(layer) ? [.expertsDown, .sharedDown] : [.down]
        return roles.flatMap { [$0.rawValue, $0.rawValue + "_bias"] }
    }

    /// Puts another norm behind a part.
    package mutating func replace(normBehind part: StreamPart, of layer: Int, by norm: Norm) {
        switch part {
        case .attention: layers[layer].attentionPostNorm = norm
        case .feedForward: layers[layer].feedForwardPostNorm = norm
        }
    }

    /// The first product of a part that is stored together with others, so that it cannot be replaced; `nil` when there is none.
    package var joinedProduct: String? {
        for layer in layers.indices {
            for part in StreamPart.allCases where product(part, of: layer) != nil {
                let role = role(part, of: layer).rawValue
                guard let known = checkpoint.architecture?.tensor(role: role), let stored = checkpoint.part(of: known),
                    !stored.dims.isEmpty
                else { continue }
                return stored.name(layer: layer)
            }
        }
        return nil
    }

    /// The factor of what the parts of a layer add to the stream.
    package func residualScale(of layer: Int) -> Float { layers[layer].plan.residualScale }
    /// Whether the MLP of a layer reads what attention reads.
    package func isParallel(_ layer: Int) -> Bool { layers[layer].plan.parallel != nil }
    /// Whether the MLP of any layer does.
    package var hasParallelLayers: Bool { layers.contains { $0.plan.parallel != nil } }
    /// Whether a layer has experts.
    package func hasExperts(_ layer: Int) -> Bool { layers[layer].dense == nil }
    /// Whether any layer has experts.
    package var hasExperts: Bool { layers.contains { $0.dense == nil } }
    /// Whether anywhere a norm is behind a part.
    package var hasNormsAfter: Bool { layers.contains { $0.plan.hasNormsAfter } }
    /// Whether attention and the MLP read the stream through norms in all layers.
    package var hasNormsBefore: Bool { layers.allSatisfy { $0.plan.hasNormsBefore } }

    /// Columns of the residual stream.
    package var hidden: Int { plan.hidden }
    /// How many layers there are.
    package var layerCount: Int { layers.count }
}
