internal import Checkpoints
internal import Formats
internal import Kernels

/// The values of a tensor by their place in the whole of it, for forms whose blocks do not care about rows.
struct FlatValues: Sendable {
    let source: Tensor

    /// How many values are decoded at once.
    static let pieceCount = 1 << 18

    /// Decodes some values as f32.
    ///
    /// - Precondition: a kernel decodes the type of the source.
    func read(_ places: Range<Int>, into output: UnsafeMutablePointer<Float>) throws(CheckpointError) {
        guard !places.isEmpty else { return }
        let length = source.rowLength
        let rows = places.lowerBound / length..<(places.upperBound - 1) / length + 1
        let skipped = places.lowerBound - rows.lowerBound * length
        try source.withBytes(rows: rows) { bytes in
            if source.dtype.blockCount == 1 {
                let start = skipped * source.dtype.blockByteCount
                let part = UnsafeRawBufferPointer(rebasing: bytes[start...])
                Codec.decode(source.dtype, part, count: places.count, into: output)
                return
            }
            let whole = Scratch(floats: rows.count * length)
            Codec.decode(source.dtype, bytes, count: rows.count * length, into: whole.floats)
            output.update(from: whole.floats + skipped, count: places.count)
        }
    }

    /// Calls `body` with the values in pieces of `pieceCount` but for the last, in order.
    func forEachPiece(
        of places: Range<Int>, _ body: (UnsafeMutablePointer<Float>, Range<Int>) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let step = FlatValues.pieceCount
        let piece = Scratch(floats: min(step, places.count))
        for start in stride(from: places.lowerBound, to: places.upperBound, by: step) {
            let part = start..<min(start + step, places.upperBound)
            try read(part, into: piece.floats)
            try body(piece.floats, part)
        }
    }

    /// Why a weight has no codes: the first of some values that is not finite; `nil` when all are.
    func refusal(
        of values: UnsafePointer<Float>, _ places: Range<Int>, file: String
    ) -> CheckpointError? {
        guard let place = places.first(where: { !values[$0 - places.lowerBound].isFinite }) else { return nil }
        return CheckpointError(
            file: file, tensor: source.name,
            "has the value \(values[place - places.lowerBound]) in row \(place / source.rowLength), "
                + "column \(place % source.rowLength), which no code stands for")
    }
}
