internal import Checkpoints
internal import Decoder
internal import Formats
internal import Kernels
internal import Parallel
internal import Weights

/// What the result of a product should be so that the norm behind it gives what is wanted.
///
/// A norm `g z / r` is not linear in z, because r, the root of the mean square, is that of z itself. With the r that each token
/// has before the fit it is: the product of `x / r` should be the normed z plus what is missing of the wanted result, divided by
/// g. What is missing along z itself is left out: the norm takes away whatever the product adds in that direction.
final class NormTarget: Sendable {
    /// Inputs divided by r, [tokens, inputs].
    let inputs: Scratch
    /// The product, then what it should be, divided by r, [tokens, outputs].
    let product: Scratch
    private let isCentered: Bool
    private let epsilon: Double
    private let bias: [Float]
    private let normBias: [Float]
    private let weights: [Float]
    /// What divides by the weights of the norm: g / (g^2 + d), with a small d against weights near 0.
    private let inverses: [Float]
    private let threads: Int

    /// The share of the mean square of a norm's weights below which a weight counts as small.
    private static let damping: Float = 1e-2

    init(_ norm: Norm, of linear: Linear, tokens: Int, threads: Int) throws(CheckpointError) {
        inputs = Scratch(floats: tokens * linear.inputs)
        product = Scratch(floats: tokens * linear.outputs)
        isCentered = norm.kind != .rms
        epsilon = Double(norm.epsilon)
        bias = try linear.bias?.floats() ?? []
        normBias = try norm.bias?.floats() ?? []
        let weights = try norm.weight?.floats() ?? Array(repeating: 1, count: linear.outputs)
        self.weights = weights
        let damping = NormTarget.damping * weights.reduce(0) { $0 + $1 * $1 } / Float(max(1, weights.count))
        inverses = weights.map { $0 == 0 ? 0 : $0 / ($0 * $0 + damping) }
        self.threads = threads
    }

    /// Turns a product into what it should be.
    ///
    /// - Parameter wanted: what the norm should give, [tokens, outputs].
    func pullBack(_ operand: MatrixOperand, wanted: UnsafePointer<Float>) {
        let width = weights.count, columns = operand.columns
        nonisolated(unsafe) let (target, scaled) = (product.floats, inputs.floats)
        nonisolated(unsafe) let (values, wanted) = (operand.values, wanted)
        Parallel.forEachRow(operand.rows, workers: threads) { row in
            let factor = pullBack(target + row * width, wanted + row * width)
            for column in 0..<columns { scaled[row * columns + column] = values[row * columns + column] * factor }
        }
    }

    /// Turns a row into what it should be.
    ///
    /// - Returns: the factor of its inputs, 1 / r.
    private func pullBack(_ line: UnsafeMutablePointer<Float>, _ wanted: UnsafePointer<Float>) -> Float {
        let width = weights.count
        var mean = 0.0, squares = 0.0
        if isCentered { for column in 0..<width { mean += Double(line[column]) } }
        mean /= Double(width)
        for column in 0..<width {
            let value = Double(line[column]) - mean
            squares += value * value
        }
        let root = (squares / Double(width) + epsilon).squareRoot()
        guard root > 0 else {
            line.update(repeating: 0, count: width)
            return 0
        }
        let (factor, center) = (Float(1 / root), Float(mean))
        // What is missing, and its parts that the norm takes away: the mean, and what lies along the result itself.
        var total = 0.0, along = 0.0
        for column in 0..<width {
            let normed = (line[column] - center) * factor
            let missing =
                (wanted[column] - weights[column] * normed - (normBias.isEmpty ? 0 : normBias[column]))
                * inverses[column]
            if isCentered { total += Double(missing) }
            along += Double(missing) * Double(normed)
        }
        let lengths = squares * Double(factor) * Double(factor)
        let (offset, share) = (Float(total / Double(width)), lengths > 0 ? Float(along / lengths) : 0)
        for column in 0..<width {
            let normed = (line[column] - center) * factor
            let missing =
                (wanted[column] - weights[column] * normed - (normBias.isEmpty ? 0 : normBias[column]))
                * inverses[column] - offset - share * normed
            line[column] = (line[column] - (bias.isEmpty ? 0 : bias[column])) * factor + missing
        }
        return factor
    }
}
