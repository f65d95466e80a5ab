internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// Finds values that the new type of a tensor cannot hold: NaN and infinity in quantized weights, where one value
/// spoils its whole block, and finite values that F16 or BF16 would store as infinity.
///
/// The check runs while rows are encoded; values are read again only when it fails.
struct FiniteCheck: Sendable {
    let source: Tensor
    let dtype: DType
    let file: String

    /// Up to the largest f16, every block scale is finite too.
    private static let limit: Float = 65504
    /// The number of values decoded at once to count the faults.
    private static let slabElementCount = 1 << 16

    /// Checks encoded rows.
    ///
    /// - Throws: when a value is not finite, or so large that a scale is not. The message does not depend on the
    ///   order in which rows are checked.
    func check(
        _ values: UnsafePointer<Float>, rows: Range<Int>, encoded: UnsafeRawBufferPointer
    ) throws(CheckpointError) {
        let count = rows.count * source.rowLength
        guard let large = Codec.firstBeyond(dtype == .bf16 ? 3.3e38 : FiniteCheck.limit, in: values, count: count)
        else {
            return
        }
        guard dtype.isQuantized else {
            if (large..<count).contains(where: { overflows(values[$0]) }) { throw try overflow() }
            return
        }
        let infinity = Float.greatestFiniteMagnitude
        if Codec.firstBeyond(infinity, in: values + large, count: count - large) != nil { throw try nonfinite() }
        let decoded = UnsafeMutablePointer<Float>.allocate(capacity: count)
        defer { decoded.deallocate() }
        dtype.decode(encoded, elements: 0..<count, into: decoded)
        guard let lost = Codec.firstBeyond(infinity, in: decoded, count: count) else { return }
        throw CheckpointError(
            file: file, tensor: source.name,
            "holds values too large for the scales of \(dtype), such as those around "
                + location(rows.lowerBound * source.rowLength + lost),
            hint: "--allow-nonfinite writes infinite scales")
    }

    /// Whether a finite value rounds to infinity in F16 or BF16.
    private func overflows(_ value: Float) -> Bool {
        // Half a step above the largest value: 65,504 + 16, and 0x7F7F plus half a bit.
        value.isFinite && value.magnitude >= (dtype == .bf16 ? Float(bitPattern: 0x7F7F_8000) : 65520)
    }

    /// Counts all values of the tensor that would become infinity.
    private func overflow() throws(CheckpointError) -> CheckpointError {
        var largest: (index: Int, value: Float) = (0, 0)
        var total = 0
        try forEachValue { index, value in
            guard overflows(value) else { return }
            total += 1
            if value.magnitude > largest.value.magnitude { largest = (index, value) }
        }
        let number = total == 1 ? "one value too large" : "\(total.grouped) values too large"
        return CheckpointError(
            file: file, tensor: source.name,
            "has \(number) for \(dtype): \(largest.value) in \(location(largest.index)); \(dtype) ends at "
                + (dtype == .bf16 ? "3.39e38" : "65,504"),
            hint: "bf16 and f32 have a larger range; quantize --allow-nonfinite writes infinity")
    }

    /// Counts all values of the tensor that are not finite.
    private func nonfinite() throws(CheckpointError) -> CheckpointError {
        var first: (index: Int, value: Float)?
        var total = 0
        try forEachValue { index, value in
            guard !value.isFinite else { return }
            if first == nil { first = (index, value) }
            total += 1
        }
        guard let first else { preconditionFailure("\(source.name): a value was not finite, and is") }
        let number =
            total == 1 ? "one value that is not finite: " : "\(total.grouped) values that are not finite, first "
        let value = first.value.isNaN ? "nan" : "\(first.value)"
        return CheckpointError(
            file: file, tensor: source.name, "has \(number)\(value) in \(location(first.index))",
            hint: "the model is damaged; --allow-nonfinite quantizes it anyway")
    }

    /// Calls `body` with all values of the tensor, in order.
    private func forEachValue(_ body: (_ index: Int, _ value: Float) -> Void) throws(CheckpointError) {
        let length = source.rowLength
        let step = max(1, FiniteCheck.slabElementCount / max(1, length))
        let values = UnsafeMutablePointer<Float>.allocate(capacity: step * length)
        defer { values.deallocate() }
        for start in stride(from: 0, to: source.rowCount, by: step) {
            let rows = start..<min(start + step, source.rowCount)
            try source.writeValues(rows: rows, into: values)
            for index in 0..<rows.count * length { body(start * length + index, values[index]) }
        }
    }

    /// The row and column of an element for a message, counted from 0.
    private func location(_ element: Int) -> String {
        let row = element / source.rowLength
        let text = "column \(element % source.rowLength)"
        guard source.shape.count > 2 else { return "row \(row), \(text)" }
        let height = source.shape[source.shape.count - 2]
        return "matrix \(row / height), row \(row % height), \(text)"
    }
}
