internal import CKernels
package import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

extension ForwardPass {
    /// The negative log-likelihood of tokens, in nats, from the states after the last layer.
    ///
    /// Logits are never all in memory: each tile of the output matrix is reduced to the logarithm of its sum of
    /// exponentials, and these are combined in the order of the tiles, for every number of threads.
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
    /// The negative log-likelihood of tokens, in nats, from states after the last layer, [tokens, hidden].
    package func losses(
        of targets: [(index: Int, token: Int32)], states: UnsafeMutablePointer<Float>, threads: Int,
        observer: (any PassObserver)? = nil
    ) throws(CheckpointError) -> [Double] {
        let (rowsAtOnce, width) = (LogitMaker.rowsAtOnce, LogitMaker.tile)
        let maker = LogitMaker(self, threads: threads)
        let outputs = output.outputs
        let tileCount = (outputs + width - 1) / width
        let workers = max(1, min(threads, tileCount))
        let logits = (0..<workers).map { _ in Scratch(floats: rowsAtOnce * width) }
        let sums = Scratch(byteCount: rowsAtOnce * tileCount * MemoryLayout<Double>.size)
        nonisolated(unsafe) let parts = sums.base.assumingMemoryBound(to: Double.self)
        let hits = Scratch(floats: rowsAtOnce)
        var result: [Double] = []
        for start in stride(from: 0, to: targets.count, by: rowsAtOnce) {
            let some = Array(targets[start..<min(start + rowsAtOnce, targets.count)])
            let product = try maker.product(states, of: some.map(\.index), observer: observer)
            try Parallel.forEach(tileCount, workers: workers) { (tile, worker) throws(CheckpointError) in
                let rows = tile * width..<min((tile + 1) * width, outputs)
                try product.write(
                    rows, into: logits[worker].floats, stride: width,
                    panel: maker.buffers.panels[worker])
                for (row, target) in some.enumerated() {
                    let line = logits[worker].floats + row * width
                    parts[row * tileCount + tile] = resect_log_sum_exp(line, rows.count)
                    if rows.contains(Int(target.token)) {
                        hits.floats[row] = line[Int(target.token) - rows.lowerBound]
                    }
                }
            }
            for row in some.indices {
                let sum = logSumExp(UnsafeBufferPointer(start: parts + row * tileCount, count: tileCount))
                result.append(sum - Double(hits.floats[row]))
            }
        }
        return result
    }
}
