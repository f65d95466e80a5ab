internal import Checkpoints
internal import Formats
package import Weights

/// The two parts of a layer that add to the residual stream.
package enum StreamPart: Sendable, CaseIterable {
    /// Attention, whose last matrix is the output projection.
    case attention
    /// The MLP, whose last matrix is the down projection; in a layer of experts, that of the shared expert.
    case feedForward
}

extension DecoderModel {
    /// The last linear map of a part, whose output is added to the stream. `nil` for experts without a shared one, and
    /// where the shared expert's map has a bias or a norm after it.
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

    /// The role of that map's weight.
    package func role(_ part: StreamPart, of layer: Int) -> ProductRole {
        switch part {
        case .attention: .attentionOutput
        case .feedForward: layers[layer].dense == nil ? .sharedDown : .down
        }
    }

    /// Replaces the last linear map of a part.
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

    /// The norm of a part's output (post-norm); `nil` without one.
    package func norm(behind part: StreamPart, of layer: Int) -> Norm? {
        part == .attention ? layers[layer].attentionPostNorm : layers[layer].feedForwardPostNorm
    }

    /// The role of that norm's weight.
    package func normRole(behind part: StreamPart) -> String {
        part == .attention ? "attention_post_norm" : "ffn_post_norm"
    }

    /// The roles of the last weights of a part: multiplying all of them by a factor multiplies everything that the part adds
    /// to the stream.
    package func addingRoles(_ part: StreamPart, of layer: Int) -> [String] {
        if norm(behind: part, of: layer) != nil {
            return [normRole(behind: part), normRole(behind: part) + "_bias"]
        }
        let roles: [ProductRole] =
            part == .attention ? [.attentionOutput] : hasExperts(layer) ? [.expertsDown, .sharedDown] : [.down]
        return roles.flatMap { [$0.rawValue, $0.rawValue + "_bias"] }
    }

    /// Replaces the norm of a part's output.
    package mutating func replace(normBehind part: StreamPart, of layer: Int, by norm: Norm) {
        switch part {
        case .attention: layers[layer].attentionPostNorm = norm
        case .feedForward: layers[layer].feedForwardPostNorm = norm
        }
    }

    /// The name of the first tensor that holds the last matrix of a part together with other weights, so that it cannot be
    /// replaced; `nil` when there is none.
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

    /// The factor of the outputs of attention and the MLP when a layer adds them to the stream.
    package func residualScale(of layer: Int) -> Float { layers[layer].plan.residualScale }
    /// Whether attention and the MLP of a layer run in parallel: both read the stream before the layer.
    package func isParallel(_ layer: Int) -> Bool { layers[layer].plan.parallel != nil }
    /// Whether they run in parallel in any layer.
    package var hasParallelLayers: Bool { layers.contains { $0.plan.parallel != nil } }
    /// Whether a layer has experts.
    package func hasExperts(_ layer: Int) -> Bool { layers[layer].dense == nil }
    /// Whether any layer has experts.
    package var hasExperts: Bool { layers.contains { $0.dense == nil } }
    /// Whether any layer has norms after attention and the MLP.
    package var hasNormsAfter: Bool { layers.contains { $0.plan.hasNormsAfter } }
    /// Whether all layers have norms before attention and the MLP.
    package var hasNormsBefore: Bool { layers.allSatisfy { $0.plan.hasNormsBefore } }

    /// Columns of the residual stream.
    package var hidden: Int { plan.hidden }
    /// How many layers there are.
    package var layerCount: Int { layers.count }
}
