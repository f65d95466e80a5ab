internal import CKernels
internal import Kernels
internal import Parallel

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Hidden states scaled to length 1, [layers + 1, rows, hidden].
package struct UnitStates: Sendable {
    /// Layers of the model; states are numbered up to and with it.
    package let layers: Int
    /// How many tokens are held.
    package let rows: Int
    /// Elements of a state.
    package let hidden: Int
    private let memory: Scratch

    /// Room for the states.
    package init(layers: Int, rows: Int, hidden: Int) {
        self.layers = layers
        self.rows = rows
        self.hidden = hidden
        memory = Scratch(floats: (layers + 1) * rows * hidden)
    }

    /// The state of a token at the input of a layer.
    package func state(layer: Int, row: Int) -> UnsafeMutablePointer<Float> {
        memory.floats + (layer * rows + row) * hidden
    }

    /// Stores one state.
    package func set(layer: Int, row: Int, _ values: UnsafePointer<Float>) {
        resect_normalize(values, state(layer: layer, row: row), hidden)
    }

    /// Stores the states of all rows.
    package func set(layer: Int, _ values: UnsafePointer<Float>, threads: Int) {
        nonisolated(unsafe) let values = values
        Parallel.forEach(rows, workers: threads) { row, _ in
            set(layer: layer, row: row, values + row * hidden)
        }
    }
}

/// The sums of the distances between all pairs of layers, over rows.
package struct PairSums: Sendable {
    private let layers: Int
    private var sums: [Double]
    private var rows = 0

    /// The number of rows whose states at all layers fit the cache together.
    private static let rowsAtOnce = 8

    /// Sums of nothing yet.
    package init(layers: Int) {
        self.layers = layers
        sums = Array(repeating: 0, count: (layers + 1) * (layers + 1))
    }

    /// Adds the distances of a range of rows. Groups of rows are summed in a fixed order for every number of threads.
    package mutating func add(_ states: UnitStates, threads: Int) {
        let (size, step) = (layers + 1, PairSums.rowsAtOnce)
        let groups = (states.rows + step - 1) / step
        let parts = Scratch(byteCount: groups * size * size * MemoryLayout<Double>.size)
        nonisolated(unsafe) let partial = parts.base.assumingMemoryBound(to: Double.self)
        Parallel.forEach(groups, workers: threads) { group, _ in
            let table = partial + group * size * size
            table.update(repeating: 0, count: size * size)
            for low in 0..<size {
                for high in low + 1..<max(size, low + 1) {
                    for row in group * step..<min(states.rows, (group + 1) * step) {
                        table[low * size + high] += PairSums.distance(
                            states.state(layer: low, row: row), states.state(layer: high, row: row), states.hidden)
                    }
                }
            }
        }
        for group in 0..<groups {
            for index in sums.indices { sums[index] += partial[group * size * size + index] }
        }
        rows += states.rows
    }

    /// The angle between unit vectors as a share of a half turn. Half-angle form: exact at both ends, where the
    /// arc cosine loses half its digits.
    package static func distance(_ u: UnsafePointer<Float>, _ v: UnsafePointer<Float>, _ count: Int) -> Double {
        var (difference, sum) = (0.0, 0.0)
        resect_difference_and_sum(u, v, count, &difference, &sum)
        return 2 * atan2(difference.squareRoot(), sum.squareRoot()) / Double.pi
    }

    /// The means, symmetric, with zeros on the diagonal.
    package func means() -> [[Double]] {
        let size = layers + 1
        return (0..<size).map { row in
            (0..<size).map { column in
                sums[min(row, column) * size + max(row, column)] / Double(max(rows, 1))
            }
        }
    }
}
