internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// Looks for NaN and infinity in the weights of a tensor that is quantized: one such value spoils its whole block.
///
/// Found while rows are computed, so that nothing is read twice unless something is wrong.
struct FiniteCheck: Sendable {
    let source: Tensor
    let dtype: DType
    let file: String

    /// Up to the largest f16, every scale of a block is finite too.
    private static let limit: Float = 65504
    /// How many values are decoded at once to count what is wrong.
    private static let slabElementCount = 1 << 16

    /// Checks rows that were encoded.
    ///
    /// - Throws: when a value is not finite, or so large that a scale is not. The message does not depend on which
    ///   rows were looked at first.
    func check(
        _ values: UnsafePointer<Float>, rows: Range<Int>, encoded: UnsafeRawBufferPointer
    ) throws(CheckpointError) {
        let count = rows.count * source.rowLength
        guard let large = Codec.firstBeyond(FiniteCheck.limit, in: values, count: count) else { return }
        let infinity = Float.greatestFiniteMagnitude
        if Codec.firstBeyond(infinity, in: values + large, count: count - large) != nil { throw try nonfinite() }
        let decoded = UnsafeMutablePointer<Float>.allocate(capacity: count)
        defer { decoded.deallocate() }
        dtype.decode(encoded, elements: 0..<count, into: decoded)
        guard let lost = Codec.firstBeyond(infinity, in: decoded, count: count) else { return }
        throw CheckpointError(
            file: file, tensor: source.name,
            "holds values too large for the scales of \(dtype), such as those around "
                + place(rows.lowerBound * source.rowLength + lost),
            hint: "--allow-nonfinite writes infinite scales")
    }

    /// Counts the values of the whole tensor that are not finite.
    private func nonfinite() throws(CheckpointError) -> CheckpointError {
        let length = source.rowLength
        let step = max(1, FiniteCheck.slabElementCount / max(1, length))
        let values = UnsafeMutablePointer<Float>.allocate(capacity: step * length)
        defer { values.deallocate() }
        var first: (place: Int, value: Float)?
        var total = 0
        for start in stride(from: 0, to: source.rowCount, by: step) {
            let rows = start..<min(start + step, source.rowCount)
            let count = rows.count * length
            try source.writeValues(rows: rows, into: values)
            for place in 0..<count where !values[place].isFinite {
                if first == nil { first = (start * length + place, values[place]) }
                total += 1
            }
        }
        guard let first else { preconditionFailure("\(source.name): a value was not finite, and is") }
        let number =
            total == 1 ? "one value that is not finite: " : "\(total.grouped) values that are not finite, first "
        let value = first.value.isNaN ? "nan" : "\(first.value)"
        return CheckpointError(
            file: file, tensor: source.name, "has \(number)\(value) in \(place(first.place))",
            hint: "the model is damaged; --allow-nonfinite quantizes it all the same")
    }

    /// The place of an element in words, counted from 0.
    private func place(_ element: Int) -> String {
        let row = element / source.rowLength
        let text = "column \(element % source.rowLength)"
        guard source.shape.count > 2 else { return "row \(row), \(text)" }
        let height = source.shape[source.shape.count - 2]
        return "matrix \(row / height), row \(row % height), \(text)"
    }
}
