internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Weights

/// Inputs of a part's product for a batch of contexts, and the way in the residual stream that the part has to go.
struct FitRows {
    /// The operand of the product.
    let inputs: MatrixOperand
    /// Where the stream should come to, and where it is without the part, [tokens, hidden].
    let target, own: UnsafePointer<Float>
    /// What is added to the target, with a factor; `nil` adds nothing.
    var jump: (way: UnsafePointer<Float>, share: Float)?

    /// Writes what the part should add to the stream, before the factor of the layer.
    func writeWay(into output: UnsafeMutablePointer<Float>, columns: Int, scale: Float) {
        for row in 0..<inputs.rows {
            let line = output + row * columns
            for column in 0..<columns { line[column] = target[row * columns + column] - own[row * columns + column] }
            if let (way, share) = jump {
                for column in 0..<columns { line[column] += share * way[row * columns + column] }
            }
            if scale != 1 { for column in 0..<columns { line[column] /= scale } }
        }
    }
}

/// The moments of a product's inputs and of what its outputs should be, for both kinds of contexts.
final class FitMoments {
    let fitted: SecondMoments
    let judged: SecondMoments?
    private let start: HealingStart
    private let linear: Linear
    private let scale: Float
    private let bias: [Float]
    private let normed: NormTarget?
    private let wanted: Scratch

    /// Moments of nothing.
    ///
    /// - Parameters:
    ///   - linear: the product as it is.
    ///   - norm: the norm of its result.
    ///   - scale: the factor of what is added to the stream.
    init(
        _ start: HealingStart, _ linear: Linear, behind norm: Norm?, scale: Float, threads: Int
    ) throws(CheckpointError) {
        self.start = start
        self.linear = linear
        self.scale = scale
        bias = try linear.bias?.floats() ?? []
        let tokens = start.steps.contextsAtOnce * start.steps.contextLength
        normed = try norm.map { (norm) throws(CheckpointError) in
            try NormTarget(norm, of: linear, tokens: tokens, threads: threads)
        }
        fitted = SecondMoments(inputs: linear.inputs, outputs: linear.outputs, threads: threads)
        judged =
            start.judged.isEmpty
            ? nil : SecondMoments(inputs: linear.inputs, outputs: linear.outputs, threads: threads)
        wanted = Scratch(floats: tokens * linear.outputs)
    }

    /// Adds a batch of contexts.
    func add(_ batch: Range<Int>, _ rows: FitRows) throws(CheckpointError) {
        let columns = linear.outputs, inputs = rows.inputs
        rows.writeWay(into: wanted.floats, columns: columns, scale: scale)
        let sums = start.judged.contains(batch.lowerBound) ? judged : fitted
        if let normed {
            try start.steps.write(linear, of: inputs, into: normed.product.floats)
            normed.pullBack(inputs, wanted: wanted.floats)
            sums?.add(normed.inputs.floats, normed.product.floats, rows: inputs.rows)
            return
        }
        if !bias.isEmpty {
            for row in 0..<inputs.rows {
                let line = wanted.floats + row * columns
                for column in 0..<columns { line[column] -= bias[column] }
            }
        }
        sums?.add(inputs.values, wanted.floats, rows: inputs.rows)
    }
}
