internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// Finds the tensors of a model by role, and checks that their shapes follow from the settings and their types can be
/// decoded.
struct DecoderTensors {
    private let checkpoint: Checkpoint
    private let settings: Settings
    private let architecture: Architecture
    private let finder: RoleFinder

    init(_ checkpoint: Checkpoint, _ settings: Settings) {
        self.checkpoint = checkpoint
        self.settings = settings
        architecture = settings.architecture
        finder = RoleFinder(checkpoint, settings)
    }

    func required(_ role: String, _ layer: Int? = nil) throws(CheckpointError) -> Tensor {
        guard let tensor = try optional(role, layer) else {
            let part = architecture.tensor(role: role).flatMap(checkpoint.part)
            throw CheckpointError(
                file: checkpoint.path, tensor: part?.name(layer: layer) ?? role, "is missing as an unquantized weight")
        }
        return tensor
    }

    func optional(_ role: String, _ layer: Int? = nil) throws(CheckpointError) -> Tensor? {
        guard let role = architecture.tensor(role: role), let part = checkpoint.part(of: role),
            let stored = try finder.find(role, layer: layer)
        else { return nil }
        let tensor = try settings.weight(part, of: stored, file: checkpoint.path)
        guard Codec.decodes(tensor.dtype) else {
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor.name, "has the type \(tensor.dtype), which cannot be decoded")
        }
        return tensor
    }

    /// A matrix, and its bias where the model has one.
    func linear(_ role: ProductRole, _ layer: Int) throws(CheckpointError) -> Linear {
        Linear(try required(role.rawValue, layer), bias: try optional(role.rawValue + "_bias", layer))
    }

    /// A norm over rows of some width.
    func norm(_ role: String, _ layer: Int?, _ plan: NormPlan, width: Int) throws(CheckpointError) -> Norm {
        Norm(
            kind: plan.kind, weight: plan.kind == .plain ? nil : try required(role, layer),
            bias: plan.kind == .rms ? nil : try optional(role + "_bias", layer), epsilon: plan.epsilon, width: width)
    }

    /// A layer with its operations.
    func layer(_ number: Int, _ plan: LayerPlan, hidden: Int) throws(CheckpointError) -> DecoderModel.Layer {
        func norm(_ role: String, if isThere: Bool) throws(CheckpointError) -> Norm? {
            isThere ? try self.norm(role, number, plan.norm, width: hidden) : nil
        }
        func headNorm(_ role: String, heads: Int) throws(CheckpointError) -> HeadNorm? {
            guard let norms = plan.attention.queryKeyNorm else { return nil }
            let width = norms.span == .head ? plan.attention.headSize : heads * plan.attention.headSize
            return HeadNorm(norm: try self.norm(role, number, norms.norm, width: width), span: norms.span)
        }
        return DecoderModel.Layer(
            plan: plan, attentionNorm: try norm("attention_norm", if: plan.hasNormsBefore),
            attentionPostNorm: try norm("attention_post_norm", if: plan.hasNormsAfter),
            query: try linear(.query, number), key: try linear(.key, number), value: try linear(.value, number),
            attentionOutput: try linear(.attentionOutput, number),
            queryNorm: try headNorm("attention_q_norm", heads: plan.attention.heads),
            keyNorm: try headNorm("attention_k_norm", heads: plan.attention.keyHeads),
            attention: AttentionShape(plan.attention),
            feedForwardNorm: try norm("ffn_norm", if: plan.hasNormsBefore && plan.parallel != .shared),
            feedForwardPostNorm: try norm("ffn_post_norm", if: plan.hasNormsAfter),
            feedForward: try feedForward(number, plan.feedForward))
    }

    private func feedForward(
        _ number: Int, _ plan: FeedForwardPlan
    ) throws(CheckpointError) -> DecoderModel.Layer.MLP {
        switch plan {
        case .gated(_, let activation):
            return .dense(
                FeedForward(
                    gate: try linear(.gate, number), up: try linear(.up, number), down: try linear(.down, number),
                    activation: activation))
        case .plain(_, let activation):
            return .dense(
                FeedForward(
                    gate: nil, up: try linear(.up, number), down: try linear(.down, number), activation: activation))
        case .experts(let plan):
            let shared = try plan.sharedWidth.map { (_) throws(CheckpointError) in
                FeedForward(
                    gate: try linear(.sharedGate, number), up: try linear(.sharedUp, number),
                    down: try linear(.sharedDown, number), activation: plan.activation)
            }
            return .experts(
                Experts(
                    plan: plan, router: try linear(.router, number),
                    gate: try required(ProductRole.expertsGate.rawValue, number),
                    up: try required(ProductRole.expertsUp.rawValue, number),
                    down: try required(ProductRole.expertsDown.rawValue, number), shared: shared,
                    sharedRouter: try optional("shared_router", number).map { Linear($0) }))
        }
    }
}
