internal import Checkpoints
internal import Formats
internal import Parallel

/// A norm of queries or keys: over each head, with one weight for all or one for each, or over all heads together.
struct HeadNorm: Sendable {
    /// The norm; its weight has `headSize` elements for the span `head`, else `heads * headSize`.
    let norm: Norm
    let span: LayerDescription.QueryKeyNorm.Span

    /// Normalizes rows of heads in place, [rows, heads, headSize].
    func apply(
        to values: UnsafeMutablePointer<Float>, rows: Int, heads: Int, headSize: Int, threads: Int
    ) throws(CheckpointError) {
        let norms = try NormValues(norm)
        nonisolated(unsafe) let values = values
        let (columns, span) = (heads * headSize, span)
        Parallel.forEachRow(rows, workers: threads) { row in
            let start = values + row * columns
            if span == .width {
                norms.apply(start, into: start, count: columns)
                return
            }
            for head in 0..<heads {
                let part = start + head * headSize
                norms.apply(part, into: part, first: span == .heads ? head * headSize : 0, count: headSize)
            }
        }
    }
}
