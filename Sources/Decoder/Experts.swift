internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

/// A mixture of gated MLPs (MoE). The softmax of the router's logits gives each expert a weight for each token; a token uses
/// the `plan.used` experts of largest weight.
///
/// The tokens of an expert are gathered, so that its weights are read once for all of them.
struct Experts: Sendable {
    let plan: ExpertsPlan
    /// [experts, hidden]
    let router: Linear
    /// [experts, width, hidden]
    let gate, up: Tensor
    /// [experts, hidden, width]
    let down: Tensor
    /// The MLP that every token uses.
    var shared: FeedForward?
    /// [1, hidden]; the shared expert's weight is the sigmoid of this product, and 1 where there is none.
    let sharedRouter: Linear?

    /// A token that uses an expert, and the expert's weight for it.
    struct Share: Sendable {
        let token: Int
        let weight: Float
    }

    /// The MLP of an expert.
    func expert(_ index: Int) -> FeedForward {
        FeedForward(
            gate: Linear(gate.matrix(index)), up: Linear(up.matrix(index)), down: Linear(down.matrix(index)),
            activation: plan.activation)
    }

    /// Adds the weighted outputs of the chosen experts and of the shared one to `output`, [rows, hidden].
    ///
    /// - Parameter normed: the normed stream, [rows, hidden]; it must lie in `buffers.normed`.
    func add(
        _ normed: MatrixOperand, to output: UnsafeMutablePointer<Float>, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) {
        try addChosen(normed, to: output, buffers, observation)
        try addShared(rows: normed.rows, to: output, buffers, observation)
    }

    /// Adds the weighted outputs of the experts that the router chooses.
    func addChosen(
        _ normed: MatrixOperand, to output: UnsafeMutablePointer<Float>, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) {
        guard let memory = buffers.experts else { preconditionFailure("no memory for experts") }
        let hidden = normed.columns
        try observation.operand(normed, of: [.router])
        for (index, shares) in try shares(normed, memory, buffers).enumerated() where !shares.isEmpty {
            gather(shares, memory, buffers)
            let expert = expert(index)
            let operand = buffers.operand(memory.gathered, rows: shares.count, columns: hidden)
            try observation.experts(operand, index: index, tokens: shares.map(\.token), of: [.expertsGate, .expertsUp])
            try expert.gateAndUp(operand, buffers)
            let inner = expert.activated(shares.count, buffers)
            try observation.experts(inner, index: index, tokens: shares.map(\.token), of: [.expertsDown])
            try Linear.apply([Linear.Target(expert.down, memory.result.floats)], to: inner, buffers: buffers.linear)
            nonisolated(unsafe) let output = output
            Parallel.forEachRow(shares.count, workers: buffers.linear.threads) { row in
                resect_add_scaled(
                    output + shares[row].token * hidden, memory.result.floats + row * hidden, hidden,
                    shares[row].weight)
            }
        }
    }

    /// Copies the normed stream of an expert's tokens to contiguous rows.
    func gather(_ shares: [Share], _ memory: ExpertBuffers, _ buffers: LayerBuffers) {
        let hidden = router.inputs
        Parallel.forEachRow(shares.count, workers: buffers.linear.threads) { row in
            (memory.gathered.floats + row * hidden).update(
                from: buffers.normed.floats + shares[row].token * hidden, count: hidden)
        }
    }

    private func addShared(
        rows: Int, to output: UnsafeMutablePointer<Float>, _ buffers: LayerBuffers, _ observation: LayerObservation
    ) throws(CheckpointError) {
        guard let shared, let memory = buffers.experts else { return }
        let hidden = router.inputs
        let inner = try sharedInner(rows: rows, shared, memory, buffers, observation)
        try Linear.apply([Linear.Target(shared.down, memory.result.floats)], to: inner, buffers: buffers.linear)
        for row in 0..<rows {
            resect_add_scaled(
                output + row * hidden, memory.result.floats + row * hidden, hidden, sharedWeight(row, memory))
        }
    }

    /// The operand of the shared expert's last product, each row times the expert's weight for its token; `nil` without a
    /// shared expert.
    func weightedSharedInner(rows: Int, _ buffers: LayerBuffers) throws(CheckpointError) -> MatrixOperand? {
        guard let shared, let memory = buffers.experts else { return nil }
        let inner = try sharedInner(rows: rows, shared, memory, buffers, .none)
        guard sharedRouter != nil else { return inner }
        let (values, width) = (buffers.inner.floats, shared.width)
        for row in 0..<rows { resect_multiply_by(values + row * width, width, sharedWeight(row, memory)) }
        return buffers.operand(buffers.inner, rows: rows, columns: width)
    }

    private func sharedInner(
        rows: Int, _ shared: FeedForward, _ memory: ExpertBuffers, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) -> MatrixOperand {
        let operand = buffers.operand(buffers.normed, rows: rows, columns: router.inputs)
        try observation.operand(operand, of: [.sharedGate, .sharedUp])
        if let sharedRouter {
            try Linear.apply(
                [Linear.Target(sharedRouter, memory.weights.floats)], to: operand, buffers: buffers.linear)
        }
        try shared.gateAndUp(operand, buffers)
        let inner = shared.activated(rows, buffers)
        try observation.operand(inner, of: [.sharedDown])
        return inner
    }

    /// The shared expert's weight for a token; the shared router must have run.
    private func sharedWeight(_ row: Int, _ memory: ExpertBuffers) -> Float {
        sharedRouter == nil ? 1 : Experts.sigmoid(memory.weights.floats[row])
    }

    /// Runs the router, and lists for each expert the tokens that use it.
    func shares(
        _ normed: MatrixOperand, _ memory: ExpertBuffers, _ buffers: LayerBuffers
    ) throws(CheckpointError) -> [[Share]] {
        let (count, used) = (plan.count, plan.used)
        try Linear.apply([Linear.Target(router, memory.weights.floats)], to: normed, buffers: buffers.linear)
        Parallel.forEachRow(normed.rows, workers: buffers.linear.threads) { token in
            let weights = memory.weights.floats + token * count
            resect_softmax(weights, count, 1)
            Experts.choose(used, of: count, weights, into: memory.chosen.words + token * used)
        }
        var result = Array(repeating: [Share](), count: count)
        for token in 0..<normed.rows {
            let weights = memory.weights.floats + token * count
            let chosen = UnsafeBufferPointer(start: memory.chosen.words + token * used, count: used)
            let sum = plan.normalizes ? chosen.reduce(0) { $0 + weights[Int($1)] } : 1
            for expert in chosen.lazy.map(Int.init) {
                result[expert].append(Share(token: token, weight: weights[expert] / sum))
            }
        }
        return result
    }

    /// Writes the indices of the experts with the largest weights, largest first; ties go to the lower index.
    static func choose(
        _ used: Int, of count: Int, _ weights: UnsafePointer<Float>, into chosen: UnsafeMutablePointer<UInt32>
    ) {
        var found = 0
        for expert in 0..<count {
            var place = found
            while place > 0, weights[expert] > weights[Int(chosen[place - 1])] { place -= 1 }
            guard place < used else { continue }
            found = min(found + 1, used)
            for later in stride(from: found - 1, to: place, by: -1) { chosen[later] = chosen[later - 1] }
            chosen[place] = UInt32(expert)
        }
    }

    static func sigmoid(_ value: Float) -> Float {
        var (gate, one) = (value, Float(1))
        resect_silu_times(&gate, &one, 1)
        return value == 0 ? 0.5 : gate / value
    }
}

/// The work buffers of experts.
struct ExpertBuffers: Sendable {
    /// The router's logits, then their softmax, [tokens, experts]; later the logits of the shared router, [tokens].
    let weights: Scratch
    /// The experts of each token, [tokens, experts] at most.
    let chosen: Scratch
    /// The normed stream of the tokens of one expert, and the expert's output, [tokens, hidden].
    let gathered, result: Scratch

    init(tokens: Int, hidden: Int, experts: Int) {
        weights = Scratch(floats: tokens * experts)
        chosen = Scratch(floats: tokens * experts)
        gathered = Scratch(floats: tokens * hidden)
        result = Scratch(floats: tokens * hidden)
    }
}
