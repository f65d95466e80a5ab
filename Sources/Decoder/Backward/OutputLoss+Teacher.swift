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

extension OutputLoss {
    /// The likeliest tokens of each row with their probabilities, and the rest as one class.
    ///
    /// - Parameters:
    ///   - count: how many tokens; fewer than the vocabulary has.
    ///   - states: the stream after the last layer, [tokens, hidden].
    package func likeliest(
        _ count: Int, rows: [Int], states: UnsafePointer<Float>
    ) throws(CheckpointError) -> TokenClasses {
        let vocabulary = model.output.outputs
        precondition(0 < count && count < vocabulary, "\(count) of \(vocabulary) tokens")
        let tokens = Scratch(floats: rows.count * count), values = Scratch(floats: rows.count * count)
        let rests = Scratch(floats: rows.count)
        try forEachChunk(rows, states) { (chunk, some) throws(CheckpointError) in
            Parallel.forEach(some.count, workers: threads) { index, _ in
                let line = logits(index), row = chunk.lowerBound + index
                let total = resect_log_sum_exp(line, vocabulary)
                for (place, token) in Self.greatest(count, of: line, vocabulary).enumerated() {
                    tokens.words[row * count + place] = UInt32(token)
                    values.floats[row * count + place] = Float(exp(Double(line[token]) - total))
                    line[token] = -.infinity
                }
                rests.floats[row] = Float(exp(resect_log_sum_exp(line, vocabulary) - total))
            }
        }
        let named = rows.count * count
        return TokenClasses(
            rows: rows, count: count, tokens: UnsafeBufferPointer(start: tokens.words, count: named).map(Int32.init),
            probabilities: Array(UnsafeBufferPointer(start: values.floats, count: named)),
            rests: Array(UnsafeBufferPointer(start: rests.floats, count: rows.count)))
    }

    /// The indices of the greatest values, greatest first; of equal ones the first.
    private static func greatest(_ count: Int, of values: UnsafePointer<Float>, _ total: Int) -> [Int] {
        // Candidates are collected above a bound, which rises whenever there are too many of them.
        var found: [Int] = []
        var bound = -Float.infinity
        func reduce() {
            found.sort { (values[$0], $1) > (values[$1], $0) }
            found.removeSubrange(count...)
            bound = values[found[count - 1]]
        }
        for index in 0..<total where values[index] > bound || found.count < count {
            found.append(index)
            if found.count >= 4 * count { reduce() }
        }
        reduce()
        return found
    }
}
