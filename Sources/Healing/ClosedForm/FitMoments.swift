internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Weights

/// The moments of a map's inputs and of what its outputs should be, for both kinds of contexts.
final class FitMoments {
    let fitted: SecondMoments
    let judged: SecondMoments?
    private let start: HealingStart
    private let bias: [Float]
    private let residual: Scratch
    private let columns: Int

    init(_ start: HealingStart, _ linear: Linear, threads: Int) throws(CheckpointError) {
        self.start = start
        columns = linear.outputs
        bias = try linear.bias?.floats() ?? []
        fitted = SecondMoments(inputs: linear.inputs, outputs: linear.outputs, threads: threads)
        judged =
            start.judged.isEmpty
            ? nil : SecondMoments(inputs: linear.inputs, outputs: linear.outputs, threads: threads)
        residual = Scratch(floats: start.steps.contextsAtOnce * start.steps.contextLength * linear.outputs)
    }

    /// Adds a batch of contexts: what is wanted of the map is the way from one stream to another.
    ///
    /// - Parameter jump: what is added to the target, with a factor; `nil` adds nothing.
    func add(
        _ batch: Range<Int>, inputs: MatrixOperand, target: UnsafePointer<Float>, from own: UnsafePointer<Float>,
        jump: (way: UnsafePointer<Float>, share: Float)? = nil
    ) {
        for row in 0..<inputs.rows {
            let line = residual.floats + row * columns
            for column in 0..<columns { line[column] = target[row * columns + column] - own[row * columns + column] }
            if let (way, share) = jump {
                for column in 0..<columns { line[column] += share * way[row * columns + column] }
            }
            for column in bias.indices { line[column] -= bias[column] }
        }
        let sums = start.judged.contains(batch.lowerBound) ? judged : fitted
        sums?.add(inputs.values, residual.floats, rows: inputs.rows)
    }
}
