internal import Formats

/// Resolves the settings of a model into the plan of each layer.
struct LayerPlanResolver {
    private let settings: Settings
    private let layer: LayerDescription
    private let norm: NormPlan
    private let hasWindowedRotary: Bool

    init(_ settings: Settings, _ layer: LayerDescription, norm: NormPlan, hasWindowedRotary: Bool) {
        self.settings = settings
        self.layer = layer
        self.norm = norm
        self.hasWindowedRotary = hasWindowedRotary
    }

    /// The plan of a layer.
    func plan(_ number: Int) throws(CheckpointError) -> LayerPlan {
        LayerPlan(
            norm: norm, norms: layer.norms, parallel: try parallel(number),
            residualScale: try layer.residualScale.flatMap(settings.number) ?? 1, attention: try attention(number),
            feedForward: try feedForward(number))
    }

    private func parallel(_ number: Int) throws(CheckpointError) -> LayerPlan.ParallelNorm? {
        guard let parallel = layer.parallel else { return nil }
        if let condition = parallel.condition, try !settings.holds(condition, layer: number) { return nil }
        return parallel.sharesNorm ? .shared : .own
    }

    private func attention(_ number: Int) throws(CheckpointError) -> AttentionPlan {
        let heads = try settings.int(.heads), keyHeads = try settings.int(.keyHeads)
        let headSize = try settings.int(.keySize), valueSize = try settings.int(.valueSize)
        guard heads % keyHeads == 0, headSize % 2 == 0, headSize <= 1024 else {
            throw wrong("has \(heads) heads of \(headSize) over \(keyHeads) key heads, which do not fit")
        }
        guard headSize == valueSize else {
            throw wrong("has query heads of \(headSize) and value heads of \(valueSize), which is not computed")
        }
        let window = try window(number)
        return AttentionPlan(
            heads: heads, keyHeads: keyHeads, headSize: headSize, valueSize: valueSize, window: window,
            rotary: try rotary(number, window: window, headSize: headSize), queryKeyNorm: try queryKeyNorm(number),
            scale: try scale(headSize: headSize), cap: try settings.positive(layer.cap),
            clip: try settings.positive(layer.clip), positionScale: try positionScale())
    }

    private func window(_ number: Int) throws(CheckpointError) -> Int? {
        guard let window = layer.window, let stated = try settings.value(window.width) else { return nil }
        guard let width = stated.int, width >= 0 else {
            throw wrong("'\(settings.key(window.width))' is not a whole number")
        }
        if let layers = window.layers, try !settings.holds(layers, layer: number) { return nil }
        // In some files 0 means no window.
        return width > 0 ? width : nil
    }

    /// Whether the model has layers with a window.
    private func hasWindow() throws(CheckpointError) -> Bool {
        guard let width = layer.window?.width else { return false }
        return (try settings.value(width)?.int ?? 0) > 0
    }

    private func rotary(
        _ number: Int, window: Int?, headSize: Int
    ) throws(CheckpointError) -> AttentionPlan.RotaryUse? {
        guard let rope = layer.rope else { return nil }
        let size = try settings.int(.rotarySize)
        guard size <= headSize, size % 2 == 0 else {
            throw wrong("rotates \(size) of the \(headSize) elements of a head, which do not fit")
        }
        if let layers = rope.layers, try !settings.holds(layers, layer: number) { return nil }
        if rope.onlyWindowed, window == nil, try hasWindow() { return nil }
        return hasWindowedRotary && window != nil ? .windowed : .main
    }

    private func queryKeyNorm(_ number: Int) throws(CheckpointError) -> QueryKeyNormPlan? {
        guard let description = layer.queryKeyNorm else { return nil }
        if let condition = description.condition, try !settings.holds(condition, layer: number) { return nil }
        return QueryKeyNormPlan(
            norm: NormPlan(kind: description.norm, epsilon: norm.epsilon), span: description.span,
            followsRotation: description.followsRotation)
    }

    private func scale(headSize: Int) throws(CheckpointError) -> Float {
        let standard = 1 / Float(headSize).squareRoot()
        switch layer.scale {
        case nil: return standard
        case .value(let role): return try settings.number(role) ?? standard
        case .reciprocalRoot(let role): return try settings.positive(role).map { 1 / $0.squareRoot() } ?? standard
        }
    }

    private func positionScale() throws(CheckpointError) -> PositionScalePlan? {
        guard let description = layer.positionScale, let beta = try settings.positive(description.beta) else {
            return nil
        }
        return PositionScalePlan(beta: beta, context: try settings.int(description.context))
    }

    private func feedForward(_ number: Int) throws(CheckpointError) -> FeedForwardPlan {
        switch layer.feedForward {
        case .gated(let role): return .gated(width: try settings.int(.feedForward), activation: try activation(role))
        case .plain(let role): return .plain(width: try settings.int(.feedForward), activation: try activation(role))
        case .experts(let experts):
            guard try settings.hold(experts.layers, layer: number) else {
                return .gated(
                    width: try settings.int(.feedForward), activation: try activation(experts.activation))
            }
            let (count, used) = (try settings.int(experts.count), try settings.int(experts.used))
            guard used <= count else { throw wrong("uses \(used) of \(count) experts") }
            return .experts(
                ExpertsPlan(
                    count: count, used: used, width: try settings.int(experts.width),
                    activation: try activation(experts.activation),
                    normalizes: try experts.normalizes.map { (flag) throws(CheckpointError) in
                        try settings.holds(flag, layer: number)
                    } ?? true,
                    sharedWidth: try sharedWidth(experts)))
        }
    }

    /// The columns inside the shared expert; `nil` without one or with 0.
    private func sharedWidth(_ experts: LayerDescription.Experts) throws(CheckpointError) -> Int? {
        guard let role = experts.sharedWidth, let width = try settings.value(role)?.int, width != 0 else { return nil }
        return try settings.int(role)
    }

    private func activation(_ role: String) throws(CheckpointError) -> Activation {
        guard let activation = try settings.value(role)?.string.flatMap(Activation.init) else {
            throw wrong("'\(settings.key(role))' names no activation that is computed")
        }
        return activation
    }

    private func wrong(_ problem: String) -> CheckpointError { CheckpointError(file: settings.file, problem) }
}
