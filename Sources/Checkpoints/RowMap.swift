/// Maps the rows of a result to rows of a source. The source rows form a grid, and the result iterates over some of its
/// axes in a given order: a slice, an interleaved part, a permutation.
public struct RowMap: Sendable, Equatable, CustomStringConvertible {
    /// One axis of the result.
    public struct Axis: Sendable, Equatable {
        /// How many steps there are.
        public let count: Int
        /// The number of source rows per step.
        public let stride: Int

        /// An axis.
        public init(count: Int, stride: Int) {
            self.count = count
            self.stride = stride
        }
    }

    /// The axes of the result, outermost first; neighbours that step as one are one.
    public let axes: [Axis]
    /// The row of the source that becomes row 0 of the result.
    public let first: Int

    /// A map over some axes.
    ///
    /// - Precondition: no count or stride is negative, and all rows that it names are in the source.
    public init(axes: [Axis], first: Int = 0) {
        self.first = first
        var merged: [Axis] = []
        for axis in axes where axis.count != 1 {
            // fits: the rows of the source
            if let last = merged.last, last.stride == axis.count * axis.stride {
                merged[merged.count - 1] = Axis(count: last.count * axis.count, stride: axis.stride)
            } else {
                merged.append(axis)
            }
        }
        self.axes = merged
    }

    /// How many rows the result has.
    public var count: Int { axes.reduce(1) { $0 * $1.count } }  // fits: no more than the source has

    /// The row of the source that becomes a row of the result.
    public func source(of row: Int) -> Int {
        var (rest, source) = (row, first)
        for axis in axes.reversed() {
            source += rest % axis.count * axis.stride  // fits: a row of the source
            rest /= axis.count
        }
        return source
    }

    /// The rows of the source when they are contiguous and in order.
    public var contiguous: Range<Int>? {
        switch axes.count {
        case 0: first..<first + 1
        case 1 where axes[0].stride == 1: first..<first + axes[0].count
        default: nil
        }
    }

    /// The length of runs: rows of the result from one multiple of this number to the next are contiguous in the
    /// source.
    var run: Int { axes.last.map { $0.stride == 1 ? $0.count : 1 } ?? 1 }

    /// The source rows of a range of the result's rows; `nil` when the range is not within one run.
    func contiguous(_ rows: Range<Int>) -> Range<Int>? {
        guard let last = rows.last, rows.lowerBound / run == last / run else { return nil }
        let start = source(of: rows.lowerBound)
        return start..<start + rows.count  // fits: rows of the source
    }

    /// The map in words: the two orders of rotary pairs by name, others as counts and strides, `rows 4 by 64, 32 by 2`.
    public var description: String {
        if let last = axes.last, let inner = axes.dropLast().last, first == 0 {
            if last.count == 2, inner == Axis(count: last.stride, stride: 1) { return "rows interleaved" }
            if last.stride == 2, inner == Axis(count: 2, stride: 1) { return "rows taken apart" }
        }
        let steps = axes.map { "\($0.count) by \($0.stride)" }.joined(separator: ", ")
        return "rows \(steps.isEmpty ? "1" : steps)" + (first > 0 ? " from \(first)" : "")
    }

    /// A grid whose axes are gone through in another order.
    ///
    /// - Parameters:
    ///   - sizes: the grid of the source's rows, outermost first.
    ///   - order: for each axis of the result, which axis of the grid it is.
    public static func permuting(_ sizes: [Int], order: [Int]) -> RowMap {
        var strides = Array(repeating: 1, count: sizes.count)
        for axis in sizes.indices.dropLast().reversed() {
            strides[axis] = strides[axis + 1] * sizes[axis + 1]  // fits: the rows of the source
        }
        return RowMap(axes: order.map { Axis(count: sizes[$0], stride: strides[$0]) })
    }

    /// From rotary halves (HF) to neighbouring pairs (GGUF's llama) in each head.
    public static func neighbours(heads: Int, headSize: Int) -> RowMap {
        permuting([heads, 2, headSize / 2], order: [0, 2, 1])
    }

    /// From neighbouring pairs to halves.
    public static func halves(heads: Int, headSize: Int) -> RowMap {
        permuting([heads, headSize / 2, 2], order: [0, 2, 1])
    }
}
