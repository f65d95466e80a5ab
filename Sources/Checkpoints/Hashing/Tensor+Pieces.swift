extension Tensor {
    /// Calls `body` with all bytes in order, in pieces that fit a buffer. Bytes in a file are read, not mapped, so that
    /// they do not count as used memory and a truncated file is an error at once; others are computed in slabs of
    /// rows.
    func forEachPiece(
        buffer: UnsafeMutableRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(CheckpointError) {
        if let range = recipe.mappedRange {
            var done = 0
            while done < range.byteCount {
                let count = try range.read(at: done, into: buffer)
                body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                done += count
            }
            return
        }
        let step = max(1, buffer.count / max(1, rowByteCount))
        for start in stride(from: 0, to: rowCount, by: step) {
            try withBytes(rows: start..<min(start + step, rowCount)) { body($0) }
        }
    }

    /// The hash of the tensor's bytes.
    func digest(
        _ algorithm: HashAlgorithm, buffer: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) -> Digest {
        let hash = StreamHash(algorithm)
        try forEachPiece(buffer: buffer) { hash.update($0) }
        return hash.digest
    }
}
