internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Weights

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Makes logits from hidden states, some rows of the output matrix at a time.
struct LogitMaker {
    /// States that are multiplied together.
    static let rowsAtOnce = 256
    /// Rows of the output matrix whose logits are in memory together, for each worker.
    static let tile = 32 * RowPanel.width

    let buffers: LinearBuffers
    private let model: DecoderModel
    private let normed: Scratch

    init(_ model: DecoderModel, threads: Int) {
        self.model = model
        normed = Scratch(floats: LogitMaker.rowsAtOnce * model.plan.hidden)
        buffers = LinearBuffers(threads: threads)
    }

    /// The product of some normed states with the output matrix. It is valid until the next call.
    ///
    /// - Parameters:
    ///   - indices: rows of `states`, at most `rowsAtOnce`.
    ///   - observer: receives the normed states.
    ///   - usesDotProducts: whether a single state multiplies the matrix a row at a time.
    func product(
        _ states: UnsafeMutablePointer<Float>, of indices: [Int], observer: (any PassObserver)? = nil,
        usesDotProducts: Bool = false
    ) throws(CheckpointError) -> LogitProduct {
        precondition(indices.count <= LogitMaker.rowsAtOnce)
        nonisolated(unsafe) let states = states
        let (hidden, threads) = (model.plan.hidden, buffers.threads)
        try model.outputNorm.apply(
            rows: indices.count, of: { UnsafePointer(states + indices[$0] * hidden) }, into: normed.floats,
            threads: threads)
        let operand = MatrixOperand(
            normed.floats, rows: indices.count, columns: hidden, bf16: nil, threads: threads,
            usesDotProducts: usesDotProducts && indices.count == 1)
        try observer?.operand(
            ObservedRows(values: operand.values, columns: hidden, tokens: indices), of: [.output], layer: nil)
        return LogitProduct(
            product: try LinearProduct(model.output, operand, buffers: buffers), model: model, rows: operand.rows)
    }
}

/// The product of normed states with the output matrix, with the factor and the cap of the logits.
struct LogitProduct: Sendable {
    fileprivate let product: LinearProduct
    fileprivate let model: DecoderModel
    /// Rows of the states.
    fileprivate let rows: Int

    /// Computes some logits of all rows in the calling thread.
    ///
    /// - Parameter output: the first of the logits in the first row; those of the next row are `stride` floats further.
    func write(
        _ outputs: Range<Int>, into output: UnsafeMutablePointer<Float>, stride: Int, panel: RowPanel
    ) throws(CheckpointError) {
        try product.write(outputs, into: output, stride: stride, accumulates: false, panel: panel)
        guard model.changesLogits else { return }
        for row in 0..<rows { model.finishLogits(output + row * stride, count: outputs.count) }
    }
}

extension DecoderModel {
    /// Whether logits are scaled or capped after the product.
    var changesLogits: Bool { plan.logitScale != 1 || plan.logitCap != nil }

    /// Scales and caps products with the output matrix, in place.
    func finishLogits(_ values: UnsafeMutablePointer<Float>, count: Int) {
        if let cap = plan.logitCap {
            resect_soft_cap(values, count, plan.logitScale, cap)
        } else if plan.logitScale != 1 {
            resect_multiply_by(values, count, plan.logitScale)
        }
    }
}

/// The log-sum-exp of a whole, from those of its parts; exponentials are added in their order.
func logSumExp(_ parts: some Sequence<Double>) -> Double {
    let highest = parts.reduce(-.infinity) { max($0, $1) }
    return highest + log(parts.reduce(0) { $0 + exp($1 - highest) })
}
