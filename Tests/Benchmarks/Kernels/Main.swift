internal import Kernels

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Times the kernels of a heal: `kernel-bench moments ROWS INPUTS OUTPUTS THREADS`, `kernel-bench cholesky SIZE THREADS`.
///
/// Prints the seconds on the clock and of processor time that one run takes, the mean of several.
@main
struct KernelBench {
    private static let runs = 4

    static func main() {
        let numbers = CommandLine.arguments.dropFirst(2).compactMap { Int($0) }
        switch (CommandLine.arguments.dropFirst().first, numbers.count) {
        case ("moments", 4): moments(rows: numbers[0], inputs: numbers[1], outputs: numbers[2], threads: numbers[3])
        case ("cholesky", 2): cholesky(size: numbers[0], threads: numbers[1])
        default:
            print("usage: kernel-bench moments ROWS INPUTS OUTPUTS THREADS | cholesky SIZE THREADS")
            exit(64)
        }
    }

    private static func moments(rows: Int, inputs: Int, outputs: Int, threads: Int) {
        let values = Scratch(floats: rows * inputs), targets = Scratch(floats: rows * outputs)
        for index in 0..<rows * inputs { values.floats[index] = value(index) }
        for index in 0..<rows * outputs { targets.floats[index] = value(index) }
        let sums = SecondMoments(inputs: inputs, outputs: outputs, threads: threads)
        time { sums.add(values.floats, targets.floats, rows: rows) }
    }

    private static func cholesky(size: Int, threads: Int) {
        let matrix = DoubleMatrix(rows: size, columns: size)
        for row in 0..<size {
            for column in 0...row { matrix[row, column] = row == column ? Double(size) : Double(value(row - column)) }
        }
        time { precondition(Cholesky(matrix, threads: threads) != nil, "not positive definite") }
    }

    /// A number from -1 to 1 that depends on an index.
    private static func value(_ index: Int) -> Float { Float((index &* 2_654_435_761) & 0xFFFF) / 32768 - 1 }

    private static func time(_ work: () -> Void) {
        work()
        let start = (seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID))
        for _ in 0..<runs { work() }
        let end = (seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID))
        print((end.0 - start.0) / Double(runs), (end.1 - start.1) / Double(runs))
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var now = timespec()
        clock_gettime(clock, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) / 1e9
    }
}
