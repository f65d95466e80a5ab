internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

/// Finds the weight of a linear map that comes closest to wanted outputs and stays close to the weight it had:
///
///     min over W of |x W' - t|^2 + lambda mu |W - W0|^2,   W' = W0' + (G + lambda mu I)^-1 (C - G W0')
///
/// with the moments G = x'x and C = x't of the fitted rows, and mu the mean of G's diagonal.
struct RidgeRegression {
    /// The moments of the rows that are fitted; the targets are without the map's bias.
    let fitted: SecondMoments
    /// The moments of rows that only judge; `nil` without any.
    let judged: SecondMoments?
    let threads: Int

    /// A weight with what it gains.
    struct Solution {
        /// W', [inputs, outputs].
        let weight: DoubleMatrix
        /// lambda.
        let ridge: Double
        /// The share of the squared error on the judging rows that is gone; `nil` without any.
        let gain: Double?
    }

    /// The best solution for some ridges: the one with the least error on the judging rows, or that of the first ridge without
    /// any.
    ///
    /// - Parameters:
    ///   - weight: W0, [outputs, inputs].
    ///   - file: the model, for messages.
    /// - Returns: `nil` where all inputs are zero, so that no weight is better than another.
    /// - Throws: when the moments are not finite, or the sum with the ridge is not positive definite.
    func solve(
        from weight: Tensor, ridges: [Double], file: String
    ) throws(CheckpointError) -> Solution? {
        let gram = fitted.gram
        gram.mirror()
        let mean = (0..<gram.rows).reduce(0) { $0 + gram[$1, $1] } / Double(max(1, gram.rows))
        guard mean.isFinite else {
            throw CheckpointError(
                file: file, tensor: weight.name, "has inputs whose mean square is \(mean), so it cannot be fitted")
        }
        guard mean > 0 else { return nil }
        let initial = try RidgeRegression.transposed(weight, threads: threads)
        let rest = RidgeRegression.rest(fitted.cross, gram, initial, threads: threads)
        let judge = judged.map { Judge($0, initial: initial, threads: threads) }
        var best: Solution?
        for ridge in judge == nil ? Array(ridges.prefix(1)) : ridges {
            guard let factor = Cholesky(gram, ridge: ridge * mean, threads: threads) else {
                throw CheckpointError(
                    file: file, tensor: weight.name,
                    "has inputs of too low a rank for the ridge \(ridge): \(fitted.rows.grouped) rows of "
                        + "\(gram.rows.grouped) columns", hint: "take more text or a larger --ridge")
            }
            let change = rest.taking(rows: 0..<rest.rows)
            factor.solve(change, threads: threads)
            let gain = judge?.gain(of: change)
            if let best, gain ?? 0 <= best.gain ?? 0 { continue }
            for row in 0..<change.rows {
                let (line, from) = (change.row(row), initial.row(row))
                for column in 0..<change.columns { line[column] += from[column] }
            }
            best = Solution(weight: change, ridge: ridge, gain: gain)
        }
        guard let best else { preconditionFailure("no ridge") }
        return best
    }

    /// `C - G W0'`.
    fileprivate static func rest(
        _ cross: DoubleMatrix, _ gram: DoubleMatrix, _ weight: DoubleMatrix, threads: Int
    ) -> DoubleMatrix {
        let result = cross.taking(rows: 0..<cross.rows)
        result.negate()
        result.add(gram, weight, threads: threads)
        result.negate()
        return result
    }

    /// W', [inputs, outputs], in f64.
    private static func transposed(_ weight: Tensor, threads: Int) throws(CheckpointError) -> DoubleMatrix {
        let result = DoubleMatrix(rows: weight.rowLength, columns: weight.rowCount)
        let step = 64
        try Parallel.forEach((weight.rowCount + step - 1) / step, workers: threads) {
            (index, _) throws(CheckpointError) in
            let rows = index * step..<min(weight.rowCount, (index + 1) * step)
            let values = Scratch(floats: rows.count * weight.rowLength)
            try weight.writeValues(rows: rows, into: values.floats)
            for column in 0..<weight.rowLength {
                let line = result.row(column) + rows.lowerBound
                for row in 0..<rows.count { line[row] = Double(values.floats[row * weight.rowLength + column]) }
            }
        }
        return result
    }
}

/// The error of a changed weight on rows that were not fitted, from their moments alone.
private struct Judge {
    private let gram: DoubleMatrix
    /// `C - G W0'`.
    private let rest: DoubleMatrix
    /// The squared error of W0.
    private let error: Double
    private let threads: Int

    init(_ moments: SecondMoments, initial: DoubleMatrix, threads: Int) {
        gram = moments.gram
        gram.mirror()
        self.threads = threads
        rest = RidgeRegression.rest(moments.cross, gram, initial, threads: threads)
        // |x W0' - t|^2 = s - <W0', C> - <W0', C - G W0'>
        error = moments.squares - initial.dot(moments.cross) - initial.dot(rest)
    }

    /// The share of the squared error that a change of W' removes.
    func gain(of change: DoubleMatrix) -> Double {
        let product = DoubleMatrix(rows: change.rows, columns: change.columns)
        product.add(gram, change, threads: threads)
        return error > 0 ? (2 * change.dot(rest) - change.dot(product)) / error : 0
    }
}

extension DoubleMatrix {
    /// Makes the matrix symmetric by its lower triangle. In place: a square of the MLP's width is the largest thing a fit holds.
    fileprivate func mirror() {
        for row in 0..<rows { for column in 0..<row { self[column, row] = self[row, column] } }
    }

    /// The sum of the products of all elements, in the order of the rows.
    fileprivate func dot(_ other: DoubleMatrix) -> Double {
        var sum = 0.0
        for row in 0..<rows {
            let (left, right) = (self.row(row), other.row(row))
            var part = 0.0
            for column in 0..<columns { part += left[column] * right[column] }
            sum += part
        }
        return sum
    }
}
