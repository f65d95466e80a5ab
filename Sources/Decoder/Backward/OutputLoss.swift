internal import CKernels
package import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Losses at the end of a model, with their gradients with respect to the states after its last layer.
///
/// Logits of some rows at a time are in memory, over the whole vocabulary.
package final class OutputLoss: Sendable {
    let model: DecoderModel
    let rowsAtOnce: Int
    let threads: Int
    let normed, normedGradient: Scratch
    private let logits: Scratch
    /// A row of capped logits for each thread, which the backward pass of the cap needs; empty without a cap.
    private let capped: [Scratch]
    private let buffers: LinearBuffers

    /// Logits that are in memory together.
    private static let logitCount = 1 << 25

    /// The losses of a model's outputs.
    package init(_ model: DecoderModel, threads: Int) {
        self.model = model
        self.threads = threads
        let vocabulary = model.output.outputs
        rowsAtOnce = max(64, min(1024, OutputLoss.logitCount / max(1, vocabulary)))
        normed = Scratch(floats: rowsAtOnce * model.plan.hidden)
        normedGradient = Scratch(floats: rowsAtOnce * model.plan.hidden)
        logits = Scratch(floats: rowsAtOnce * vocabulary)
        let copies = model.plan.logitCap == nil ? 0 : max(1, threads)
        capped = (0..<copies).map { _ in Scratch(floats: vocabulary) }
        buffers = LinearBuffers(threads: threads)
    }

    /// The divergence of the model's predictions from some classes, summed over their rows, in nats:
    /// `sum p log(p / q)`, with all other tokens as one class. For one class of probability 1 it is the cross-entropy.
    ///
    /// - Parameters:
    ///   - states: the stream after the last layer, [tokens, hidden].
    ///   - gradient: `factor` times the gradient with respect to the states is added here; `nil` when it is not wanted.
    package func divergence(
        from classes: TokenClasses, states: UnsafePointer<Float>, gradient: UnsafeMutablePointer<Float>?,
        factor: Double = 1
    ) throws(CheckpointError) -> Double {
        nonisolated(unsafe) let states = states
        let vocabulary = model.output.outputs
        precondition(classes.count < vocabulary, "as many classes as tokens")
        let losses = Scratch(byteCount: classes.rows.count * MemoryLayout<Double>.size)
        nonisolated(unsafe) let parts = losses.base.assumingMemoryBound(to: Double.self)
        let wantsGradient = gradient != nil
        try forEachChunk(classes.rows, states) { (rows, some) throws(CheckpointError) in
            Parallel.forEach(some.count, workers: threads) { index, worker in
                let row = rows.lowerBound + index, line = logits.floats + index * vocabulary
                if let copy = capped.isEmpty ? nil : capped[worker] {
                    copy.floats.update(from: line, count: vocabulary)
                }
                parts[row] = divergence(line, from: classes, row: row, factor: wantsGradient ? factor : nil)
                if let cap = model.plan.logitCap {
                    resect_soft_cap_backward(line, capped[worker].floats, vocabulary, model.plan.logitScale, cap)
                } else if model.changesLogits {
                    resect_multiply_by(line, vocabulary, model.plan.logitScale)
                }
            }
            guard let gradient else { return }
            try model.output.applyBackward(
                logits.floats, rows: some.count, into: normedGradient.floats, threads: threads)
            try addNormGradient(some, states, gradient)
        }
        return UnsafeBufferPointer(start: parts, count: classes.rows.count).reduce(0, +)
    }

    /// The loss of one row. Unless `factor` is `nil`, its logits become `factor` times the gradient with respect to them.
    private func divergence(
        _ line: UnsafeMutablePointer<Float>, from classes: TokenClasses, row: Int, factor: Double?
    ) -> Double {
        let vocabulary = model.output.outputs
        let named = row * classes.count..<(row + 1) * classes.count
        // The named classes leave the row, so that the rest is summed: as a difference from the total it would cancel.
        let values = named.map { Double(line[Int(classes.tokens[$0])]) }
        for index in named { line[Int(classes.tokens[index])] = -.infinity }
        let restLog = resect_log_sum_exp(line, vocabulary)
        let highest = max(restLog, values.max() ?? restLog)
        let total = highest + log(values.reduce(exp(restLog - highest)) { $0 + exp($1 - highest) })
        var loss = 0.0
        for (value, index) in zip(values, named) where classes.probabilities[index] > 0 {
            let probability = Double(classes.probabilities[index])
            loss += probability * (log(probability) - (value - total))
        }
        let rest = Double(classes.rests[row])
        if rest > 0 { loss += rest * (log(rest) - (restLog - total)) }
        guard let factor else { return loss }
        // q of a token, less its share of the rest's probability.
        // Without a rest the product would be NaN where the rest's probability is 0 in f64.
        let share = rest > 0 ? factor * (1 - rest * exp(total - restLog)) : factor
        resect_exponentials(line, vocabulary, Float(total), Float(share))
        for (value, index) in zip(values, named) {
            line[Int(classes.tokens[index])] = Float(
                factor * (exp(value - total) - Double(classes.probabilities[index])))
        }
        return loss
    }

    /// Calls `body` with the logits of some rows in memory: which ones of the list, and the indices of their states.
    func forEachChunk(
        _ indices: [Int], _ states: UnsafePointer<Float>,
        _ body: (_ rows: Range<Int>, _ states: [Int]) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        for start in stride(from: 0, to: indices.count, by: rowsAtOnce) {
            let rows = start..<min(start + rowsAtOnce, indices.count)
            let some = Array(indices[rows])
            try norm(some, states)
            let operand = MatrixOperand(
                normed.floats, rows: some.count, columns: model.plan.hidden, bf16: nil, threads: threads)
            try Linear.apply([Linear.Target(model.output, logits.floats)], to: operand, buffers: buffers)
            if model.changesLogits { model.finishLogits(logits.floats, count: some.count * model.output.outputs) }
            try body(rows, some)
        }
    }

    /// The logits of a row of the chunk that `forEachChunk` gave last.
    func logits(_ index: Int) -> UnsafeMutablePointer<Float> { logits.floats + index * model.output.outputs }

    /// Writes the normed states to `normed`.
    func norm(_ some: [Int], _ states: UnsafePointer<Float>) throws(CheckpointError) {
        nonisolated(unsafe) let states = states
        let hidden = model.plan.hidden
        try model.outputNorm.apply(
            rows: some.count, of: { states + some[$0] * hidden }, into: normed.floats, threads: threads)
    }

    /// Adds the gradient with respect to the states; `normedGradient` holds that with respect to the normed states.
    func addNormGradient(
        _ some: [Int], _ states: UnsafePointer<Float>, _ gradient: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        nonisolated(unsafe) let (states, gradient) = (states, gradient)
        let hidden = model.plan.hidden
        try model.outputNorm.applyBackward(
            rows: some.count, of: { states + some[$0] * hidden }, gradient: normedGradient.floats,
            addingTo: { gradient + some[$0] * hidden }, threads: threads)
    }
}
