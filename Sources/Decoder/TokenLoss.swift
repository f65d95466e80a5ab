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

extension ForwardPass {
    /// The negative log-likelihood of tokens, in nats, from the states after the last layer.
    ///
    /// Logits are never in memory as a whole: each tile of the output matrix leaves the logarithm of its sum of
    /// exponentials, and these are combined in the order of the tiles, whatever the number of threads.
    ///
    /// - Parameter targets: rows of `states`, each with the token that follows.
    /// - Precondition: all layers have run.
    package func losses(
        of targets: [(index: Int, token: Int32)], threads: Int
    ) throws(CheckpointError) -> [Double] {
        precondition(layer == model.plan.layers.count, "not all layers have run")
        return try model.losses(of: targets, states: states, threads: threads, observer: observer)
    }
}

extension DecoderModel {
    /// Rows of the output matrix whose logits are in memory together, for each worker.
    private static let tile = 32 * RowPanel.width
    /// States that are multiplied together.
    private static let rowsAtOnce = 256

    /// The negative log-likelihood of tokens, in nats, from states after the last layer, [tokens, hidden].
    package func losses(
        of targets: [(index: Int, token: Int32)], states: UnsafeMutablePointer<Float>, threads: Int,
        observer: (any PassObserver)? = nil
    ) throws(CheckpointError) -> [Double] {
        let hidden = plan.hidden
        let tileCount = (output.outputs + Self.tile - 1) / Self.tile
        let normed = Scratch(floats: Self.rowsAtOnce * hidden)
        let workers = max(1, min(threads, tileCount))
        let logits = (0..<workers).map { _ in Scratch(floats: Self.rowsAtOnce * Self.tile) }
        let buffers = LinearBuffers(threads: threads)
        let sums = Scratch(byteCount: Self.rowsAtOnce * tileCount * MemoryLayout<Double>.size)
        nonisolated(unsafe) let parts = sums.base.assumingMemoryBound(to: Double.self)
        let hits = Scratch(floats: Self.rowsAtOnce)
        var result: [Double] = []
        for start in stride(from: 0, to: targets.count, by: Self.rowsAtOnce) {
            let some = Array(targets[start..<min(start + Self.rowsAtOnce, targets.count)])
            nonisolated(unsafe) let states = states
            try outputNorm.apply(
                rows: some.count, of: { UnsafePointer(states + some[$0].index * hidden) }, into: normed.floats,
                threads: threads)
            let operand = MatrixOperand(
                normed.floats, rows: some.count, columns: hidden, bf16: nil, threads: threads)
            try observer?.operand(
                ObservedRows(values: operand.values, columns: hidden, tokens: some.map(\.index)), of: [.output],
                layer: nil)
            let product = try LinearProduct(output, operand, buffers: buffers)
            let outputs = output.outputs
            try Parallel.forEach(tileCount, workers: workers) { (tile, worker) throws(CheckpointError) in
                let rows = tile * Self.tile..<min((tile + 1) * Self.tile, outputs)
                try product.write(
                    rows, into: logits[worker].floats, stride: Self.tile, accumulates: false,
                    panel: buffers.panels[worker])
                for (row, target) in some.enumerated() {
                    let line = logits[worker].floats + row * Self.tile
                    parts[row * tileCount + tile] = resect_log_sum_exp(line, rows.count)
                    if rows.contains(Int(target.token)) {
                        hits.floats[row] = line[Int(target.token) - rows.lowerBound]
                    }
                }
            }
            for row in some.indices {
                let line = UnsafeBufferPointer(start: parts + row * tileCount, count: tileCount)
                let highest = line.max() ?? 0
                let sum = line.reduce(0) { $0 + exp($1 - highest) }
                result.append(highest + log(sum) - Double(hits.floats[row]))
            }
        }
        return result
    }
}
