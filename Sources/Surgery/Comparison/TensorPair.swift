internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Two tensors to compare.
struct TensorPair: Sendable {
    let a: Tensor
    let b: Tensor

    /// How two tensors are equal.
    enum Sameness: Sendable {
        /// Same type, shape and bytes.
        case bytes
        /// Same shape and values, different types.
        case values
        /// Different.
        case none
    }

    /// The number of elements decoded at once, a multiple of every block size.
    private static let runCount = 1 << 14
    /// The approximate number of elements per slab of rows.
    private static let slabCount = 1 << 18

    /// Whether values can be compared: both types can be decoded, and the shapes match.
    var hasValues: Bool { a.shape == b.shape && Codec.decodes(a.dtype) && Codec.decodes(b.dtype) }

    /// Whether one of them is decoded from a quantized weight, so that its bytes are in no file.
    var isDecoded: Bool { a.isDecoded || b.isDecoded }

    /// Compares both; stops at the first difference.
    /// Tensors of one type are equal when their bytes are; nothing is decoded. Tensors of two types are equal when
    /// every element has the same f32 bits, or is NaN in both.
    func sameness() throws(CheckpointError) -> Sameness {
        guard a.shape == b.shape else { return .none }
        if a.dtype == b.dtype { return try hasSameBytes() ? .bytes : .none }
        guard hasValues else { return .none }
        var same = true
        try forEachRun { x, y in
            same = (0..<x.count).allSatisfy { x[$0].bitPattern == y[$0].bitPattern || (x[$0].isNaN && y[$0].isNaN) }
            return same
        }
        return same ? .values : .none
    }

    /// The distance between the values; `nil` when they cannot be compared.
    func distance() throws(CheckpointError) -> TensorDistance? {
        guard hasValues else { return nil }
        var sums = TensorDistance.Sums()
        try forEachRun { x, y in
            sums.add(x, y)
            return true
        }
        return TensorDistance(sums)
    }

    private func hasSameBytes() throws(CheckpointError) -> Bool {
        // A row of a sub-byte type need not end at a byte boundary, but the tensor does.
        if case .mapped(let x) = a.recipe, case .mapped(let y) = b.recipe {
            defer { withExtendedLifetime((x.file, y.file)) {} }
            return equal(x.bytes(0, x.byteCount), y.bytes(0, y.byteCount))
        }
        var same = true
        try forEachSlab { x, y, _ in
            same = equal(x, y)
            return same
        }
        return same
    }

    private func equal(_ x: UnsafeRawBufferPointer, _ y: UnsafeRawBufferPointer) -> Bool {
        guard x.count == y.count else { return false }
        guard let first = x.baseAddress, let second = y.baseAddress else { return true }
        return memcmp(first, second, x.count) == 0
    }

    /// Calls `body` with the bytes of the same rows of both, until it returns false.
    private func forEachSlab(
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer, _ count: Int) -> Bool
    ) throws(CheckpointError) {
        let step = max(1, TensorPair.slabCount / max(1, a.rowLength))
        for start in stride(from: 0, to: a.rowCount, by: step) {
            let rows = start..<min(start + step, a.rowCount)
            let goesOn = try a.withBytes(rows: rows) { (x) throws(CheckpointError) in
                try b.withBytes(rows: rows) { body(x, $0, rows.count * a.rowLength) }
            }
            if !goesOn { return }
        }
    }

    /// Calls `body` with the decoded values of the same elements of both, until it returns false.
    private func forEachRun(
        _ body: (UnsafeBufferPointer<Float>, UnsafeBufferPointer<Float>) -> Bool
    ) throws(CheckpointError) {
        let values = UnsafeMutableBufferPointer<Float>.allocate(capacity: 2 * TensorPair.runCount)
        defer { values.deallocate() }
        guard let first = values.baseAddress else { return }
        let second = first + TensorPair.runCount
        try forEachSlab { x, y, count in
            for start in stride(from: 0, to: count, by: TensorPair.runCount) {
                let run = min(TensorPair.runCount, count - start)
                a.dtype.decode(x, elements: start..<start + run, into: first)
                b.dtype.decode(y, elements: start..<start + run, into: second)
                guard
                    body(UnsafeBufferPointer(start: first, count: run), UnsafeBufferPointer(start: second, count: run))
                else { return false }
            }
            return true
        }
    }
}

extension Tensor {
    fileprivate var isDecoded: Bool {
        switch recipe {
        case .computed(let source), .rows(.computed(let source), _): source is DequantizedRows
        default: false
        }
    }
}
