/// How far the values of two tensors are apart.
public struct TensorDistance: Sendable, Equatable {
    /// The largest difference of two elements.
    public let maxAbs: Double
    /// The root of the mean square of all differences.
    public let rms: Double
    /// How many elements differ.
    public let differing: Int
    /// How many elements differ in a way that is no number: not a number or infinite on one side only, or infinite with
    /// another sign. They count among the differing, and in no other figure.
    public let nonFinite: Int

    /// What is summed over the elements, in their order.
    struct Sums {
        private(set) var largest = 0.0
        private(set) var squares = 0.0
        private(set) var count = 0
        private(set) var differing = 0
        private(set) var nonFinite = 0

        /// Adds some elements of both.
        mutating func add(_ x: UnsafeBufferPointer<Float>, _ y: UnsafeBufferPointer<Float>) {
            count += x.count
            for index in 0..<min(x.count, y.count) where x[index].bitPattern != y[index].bitPattern {
                if x[index].isNaN && y[index].isNaN { continue }
                differing += 1
                let difference = abs(Double(x[index]) - Double(y[index]))
                if difference.isFinite {
                    largest = max(largest, difference)
                    squares += difference * difference
                } else {
                    nonFinite += 1
                }
            }
        }
    }

    /// The figures of some sums.
    init(_ sums: Sums) {
        maxAbs = sums.largest
        rms = (sums.squares / Double(max(1, sums.count - sums.nonFinite))).squareRoot()
        differing = sums.differing
        nonFinite = sums.nonFinite
    }
}
