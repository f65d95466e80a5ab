package import Checkpoints
internal import Kernels
internal import Parallel

extension OutputLoss {
    /// The normed states of a model, [rows, hidden]: what `distance` compares with.
    package func normedStates(
        rows: [Int], states: UnsafePointer<Float>
    ) throws(CheckpointError) -> [Float] {
        var result: [Float] = []
        let hidden = model.plan.hidden
        for start in stride(from: 0, to: rows.count, by: rowsAtOnce) {
            let some = Array(rows[start..<min(start + rowsAtOnce, rows.count)])
            try norm(some, states)
            result += UnsafeBufferPointer(start: normed.floats, count: some.count * hidden)
        }
        return result
    }

    /// The relative squared error of the normed states, `|h - t|^2 / |t|^2`, summed over all rows.
    ///
    /// - Parameters:
    ///   - teacher: t, [tokens, hidden], the normed states of another model.
    ///   - states: the stream after the last layer, [tokens, hidden].
    ///   - gradient: `factor` times the gradient with respect to the states is added here; `nil` when it is not wanted.
    package func distance(
        from teacher: UnsafePointer<Float>, rows: Int, states: UnsafePointer<Float>,
        gradient: UnsafeMutablePointer<Float>?, factor: Double = 1
    ) throws(CheckpointError) -> Double {
        nonisolated(unsafe) let teacher = teacher
        let hidden = model.plan.hidden
        let losses = Scratch(byteCount: rows * MemoryLayout<Double>.size)
        nonisolated(unsafe) let parts = losses.base.assumingMemoryBound(to: Double.self)
        for start in stride(from: 0, to: rows, by: rowsAtOnce) {
            let some = Array(start..<min(start + rowsAtOnce, rows))
            try norm(some, states)
            Parallel.forEach(some.count, workers: threads) { index, _ in
                let target = teacher + (start + index) * hidden, row = normed.floats + index * hidden
                var difference = 0.0, size = 0.0
                for column in 0..<hidden {
                    let error = Double(row[column]) - Double(target[column])
                    difference += error * error
                    size += Double(target[column]) * Double(target[column])
                }
                let scale = size > 0 ? 1 / size : 0
                parts[start + index] = difference * scale
                let output = normedGradient.floats + index * hidden, step = Float(2 * factor * scale)
                for column in 0..<hidden { output[column] = step * (row[column] - target[column]) }
            }
            if let gradient { try addNormGradient(some, states, gradient) }
        }
        return UnsafeBufferPointer(start: parts, count: rows).reduce(0, +)
    }
}
