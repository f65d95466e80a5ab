/// The distance between the values of two tensors.
public struct TensorDistance: Sendable, Equatable {
    /// The largest absolute difference.
    public let maxAbs: Double
    /// The root mean square of the differences.
    public let rms: Double
    /// The number of elements that differ.
    public let differing: Int
    /// The number of elements whose difference is NaN or infinite: NaN or infinity on one side only, or infinities of
    /// opposite sign. They count as differing elements only.
    public let nonFinite: Int

    /// Sums over the elements, in order.
    struct Sums {
        private(set) var largest = 0.0
        private(set) var squares = 0.0
        private(set) var count = 0
        private(set) var differing = 0
        private(set) var nonFinite = 0

        /// Adds elements of both.
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

    /// The distance that follows from sums.
    init(_ sums: Sums) {
        maxAbs = sums.largest
        rms = (sums.squares / Double(max(1, sums.count - sums.nonFinite))).squareRoot()
        differing = sums.differing
        nonFinite = sums.nonFinite
    }
}
