internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Weights

extension Experts {
    /// Writes the gradient with respect to the normed stream to `backward.normed`, through the experts and the router.
    ///
    /// The choice of experts is constant: its derivative is 0 almost everywhere.
    ///
    /// - Parameters:
    ///   - gradient: the gradient with respect to the experts' output, [rows, hidden].
    ///   - buffers: hold the normed stream; everything else in them is computed again.
    func applyBackward(
        rows: Int, gradient: UnsafePointer<Float>, _ buffers: LayerBuffers, _ backward: BackwardBuffers
    ) throws(CheckpointError) {
        guard let memory = buffers.experts, let own = backward.experts else {
            preconditionFailure("no memory for experts")
        }
        let (hidden, count, threads) = (router.inputs, plan.count, buffers.linear.threads)
        let output = backward.normed.floats
        let normed = buffers.operand(buffers.normed, rows: rows, columns: hidden)
        let shares = try shares(normed, memory, buffers)
        // memory.weights keeps the softmax; own.weights gets the gradients with respect to the chosen experts' weights.
        own.weights.floats.update(repeating: 0, count: rows * count)
        output.update(repeating: 0, count: rows * hidden)
        for (index, shares) in shares.enumerated() where !shares.isEmpty {
            gather(shares, memory, buffers)
            let expert = expert(index)
            let operand = buffers.operand(memory.gathered, rows: shares.count, columns: hidden)
            try expert.gateAndUp(operand, buffers)
            let inner = expert.activated(shares.count, buffers)
            try Linear.apply([Linear.Target(expert.down, memory.result.floats)], to: inner, buffers: buffers.linear)
            for (row, share) in shares.enumerated() {
                let given = memory.result.floats + row * hidden, wanted = gradient + share.token * hidden
                own.weights.floats[share.token * count + index] = resect_dot_f32(given, wanted, hidden)
                let scaled = own.gradient.floats + row * hidden
                scaled.update(from: wanted, count: hidden)
                resect_multiply_by(scaled, hidden, share.weight)
            }
            try expert.applyBackward(
                operand, gradient: own.gradient.floats, into: memory.result.floats, buffers, backward, .none)
            for (row, share) in shares.enumerated() {
                resect_add(output + share.token * hidden, memory.result.floats + row * hidden, hidden)
            }
        }
        routerGradients(shares, rows: rows, memory, own)
        try router.applyBackward(
            own.weights.floats, rows: rows, into: output, accumulates: true, threads: threads)
        try sharedBackward(rows: rows, gradient: gradient, buffers, backward, memory, own)
    }

    /// Turns the gradients with respect to the weights of the chosen experts into those with respect to the router's
    /// logits, in place.
    private func routerGradients(_ shares: [[Share]], rows: Int, _ memory: ExpertBuffers, _ own: ExpertGradients) {
        let count = plan.count
        var chosen = Array(repeating: [(expert: Int, weight: Float)](), count: rows)
        for (index, some) in shares.enumerated() {
            for share in some { chosen[share.token].append((index, share.weight)) }
        }
        for token in 0..<rows {
            let softmax = memory.weights.floats + token * count, gradients = own.weights.floats + token * count
            if plan.normalizes {
                // A weight is p / sum of the chosen p, so the gradient with respect to a chosen p is (gradient - mean) / sum.
                let sum = chosen[token].reduce(Float(0)) { $0 + softmax[$1.expert] }
                let mean = chosen[token].reduce(Float(0)) { $0 + $1.weight * gradients[$1.expert] }
                for (expert, _) in chosen[token] { gradients[expert] = (gradients[expert] - mean) / sum }
            }
            resect_softmax_backward(softmax, gradients, count, 1)
        }
    }

    private func sharedBackward(
        rows: Int, gradient: UnsafePointer<Float>, _ buffers: LayerBuffers, _ backward: BackwardBuffers,
        _ memory: ExpertBuffers, _ own: ExpertGradients
    ) throws(CheckpointError) {
        guard let shared else { return }
        let (hidden, threads) = (router.inputs, buffers.linear.threads)
        let operand = buffers.operand(buffers.normed, rows: rows, columns: hidden)
        try shared.gateAndUp(operand, buffers)
        own.gradient.floats.update(from: gradient, count: rows * hidden)
        if let sharedRouter {
            let inner = shared.activated(rows, buffers)
            try Linear.apply([Linear.Target(shared.down, memory.result.floats)], to: inner, buffers: buffers.linear)
            try Linear.apply(
                [Linear.Target(sharedRouter, memory.weights.floats)], to: operand, buffers: buffers.linear)
            for row in 0..<rows {
                let weight = Experts.sigmoid(memory.weights.floats[row])
                let slope = resect_dot_f32(memory.result.floats + row * hidden, gradient + row * hidden, hidden)
                memory.weights.floats[row] = slope * weight * (1 - weight)
                resect_multiply_by(own.gradient.floats + row * hidden, hidden, weight)
            }
            try sharedRouter.applyBackward(
                memory.weights.floats, rows: rows, into: backward.normed.floats, accumulates: true, threads: threads)
        }
        try shared.applyBackward(
            operand, gradient: own.gradient.floats, into: memory.result.floats, buffers, backward, .none)
        resect_add(backward.normed.floats, memory.result.floats, rows * hidden)
    }
}

/// The work buffers of the experts' backward pass.
struct ExpertGradients: Sendable {
    /// Gradients with respect to the weights of the chosen experts, then to the router's logits, [tokens, experts].
    let weights: Scratch
    /// Gradients with respect to the output of one expert for its tokens, [tokens, hidden].
    let gradient: Scratch

    init(tokens: Int, hidden: Int, experts: Int) {
        weights = Scratch(floats: tokens * experts)
        gradient = Scratch(floats: tokens * hidden)
    }
}
