internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

/// A mixture of gated MLPs. The softmax of a router says how much each of them gives to a token; a token uses the ones that
/// give most.
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
    /// The MLP that every token uses, and the map of its gate, [1, hidden].
    var shared: FeedForward?
    let sharedRouter: Linear?

    /// What a token gets from an expert.
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

    /// Adds what the experts give to `output`, [rows, hidden].
    ///
    /// - Parameter normed: the normed stream, [rows, hidden], in the buffer of that name.
    func add(
        _ normed: MatrixOperand, to output: UnsafeMutablePointer<Float>, _ buffers: LayerBuffers,
        _ observation: LayerObservation
    ) throws(CheckpointError) {
        try addChosen(normed, to: output, buffers, observation)
        try addShared(rows: normed.rows, to: output, buffers, observation)
    }

    /// Adds what the experts that the router chooses give.
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

    /// Copies the normed stream of an expert's tokens to rows that lie one behind the other.
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

    /// The operand of the last product of the shared expert, each row times what the expert counts for its token; `nil` without
    /// a shared expert.
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

    /// What the shared expert counts for a token, once the shared router has run.
    private func sharedWeight(_ row: Int, _ memory: ExpertBuffers) -> Float {
        sharedRouter == nil ? 1 : Experts.sigmoid(memory.weights.floats[row])
    }

    /// The tokens of each expert with what it gives to them.
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

    /// Writes the experts of the largest weights, largest first; of equal ones the first.
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

/// What experts compute in.
struct ExpertBuffers: Sendable {
    /// The logits of the router, [tokens, experts].
    let weights: Scratch
    /// The experts of each token, [tokens, experts] at most.
    let chosen: Scratch
    /// The normed stream of the tokens of one expert, and what it gives, [tokens, hidden].
    let gathered, result: Scratch

    init(tokens: Int, hidden: Int, experts: Int) {
        weights = Scratch(floats: tokens * experts)
        chosen = Scratch(floats: tokens * experts)
        gathered = Scratch(floats: tokens * hidden)
        result = Scratch(floats: tokens * hidden)
    }
}
