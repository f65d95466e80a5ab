internal import CKernels
internal import Kernels
internal import Parallel

/// Dropout of an adapter's operand in training: elements become 0 with the probability `rate`, and the others are divided by
/// `1 - rate`, so that the mean stays.
///
/// Which elements are dropped depends only on the key and on their index. So the backward pass drops the same ones, for
/// every number of threads, and a resumed training drops those that it would have dropped without the stop.
package struct Dropout: Sendable {
    /// The seed of the choice; each product of each step has its own.
    package let key: UInt64
    /// The probability that an element is dropped.
    package let rate: Double

    private static let rowsAtOnce = 16

    /// Dropout with a rate below 1.
    package init(rate: Double, key: UInt64) {
        precondition(0..<1 ~= rate, "a dropout of \(rate)")
        self.rate = rate
        self.key = key
    }

    private var threshold: UInt32 { UInt32(rate * 4_294_967_296) }
    private var scale: Float { Float(1 / (1 - rate)) }

    /// Writes rows with dropped elements.
    func write(
        _ rows: Int, columns: Int, of source: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>,
        threads: Int
    ) {
        nonisolated(unsafe) let (source, output) = (source, output)
        forEachRun(rows, columns, threads) { first, count in
            resect_dropout(source + first, output + first, count, UInt64(first), key, threshold, scale)
        }
    }

    /// Adds rows with the same elements dropped.
    func add(
        _ rows: Int, columns: Int, of source: UnsafePointer<Float>, to output: UnsafeMutablePointer<Float>,
        threads: Int
    ) {
        nonisolated(unsafe) let (source, output) = (source, output)
        forEachRun(rows, columns, threads) { first, count in
            resect_add_dropout(output + first, source + first, count, UInt64(first), key, threshold, scale)
        }
    }

    private func forEachRun(
        _ rows: Int, _ columns: Int, _ threads: Int, _ body: @Sendable (_ first: Int, _ count: Int) -> Void
    ) {
        let step = Dropout.rowsAtOnce
        Parallel.forEach((rows + step - 1) / step, workers: threads) { run, _ in
            body(run * step * columns, min(step, rows - run * step) * columns)
        }
    }
}
