internal import Parallel
#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// Writes a checkpoint from its first byte to its last, for a pipe: the layout is known before anything is computed.
public struct CheckpointStream: Sendable {
    /// How many threads compute rows.
    public var threads: Int
    /// Called with the next bytes of the file, in order.
    public var emit: @Sendable (UnsafeRawBufferPointer) throws(CheckpointError) -> Void

    /// A stream.
    ///
    /// - Parameters:
    ///   - threads: how many threads compute rows; the bytes do not depend on it.
    ///   - emit: called with the next bytes of the file, in order.
    public init(
        threads: Int, emit: @escaping @Sendable (UnsafeRawBufferPointer) throws(CheckpointError) -> Void
    ) {
        self.threads = threads
        self.emit = emit
    }

    /// Untouched bytes are read in pieces of this size.
    private static let pieceByteCount = 1 << 20

    /// Writes the only file of a plan. After an error the reader has an incomplete file, because bytes that were sent
    /// cannot be revoked.
    ///
    /// - Throws: when the plan has several files, or an input cannot be read.
    public func write(_ plan: OutputPlan) throws(CheckpointError) {
        guard plan.files.count == 1, let file = plan.files.first else {
            throw CheckpointError(
                file: plan.checkpoint.path,
                "is written as \(plan.placement == .folder ? "a folder" : "several files"), but a pipe takes one file",
                hint: "--format gguf or --format safetensors makes one")
        }
        try plan.checkpoint.checkConsistency()
        try emitAll(file.header)
        let units = file.runs.flatMap(\.pieces)
        let starts = [file.header.count] + units.map { $0.byteOffset + $0.byteCount }
        try Parallel.inOrder(units.count, workers: threads) { (index) throws(CheckpointError) -> [UInt8] in
            guard case .rows(let tensor, let rows, _) = units[index] else { return [] }
            return try tensor.withBytes(rows: rows) { [UInt8]($0) }
        } use: { (index, bytes) throws(CheckpointError) in
            try emitZeros(units[index].byteOffset - starts[index])
            if case .copy(let range, _) = units[index] { try copy(range) }
            try emitAll(bytes)
        }
        try emitZeros(file.byteCount - (starts.last ?? 0))
        try plan.checkpoint.checkUnchanged()
    }

    private func emitAll(_ bytes: [UInt8]) throws(CheckpointError) {
        let outcome = bytes.withUnsafeBytes { buffer in
            Result { () throws(CheckpointError) in try emit(buffer) }
        }
        try outcome.get()
    }

    /// Writes the zeros of a gap before an aligned tensor, or of a hole.
    private func emitZeros(_ count: Int) throws(CheckpointError) {
        if count > 0 { try emitAll([UInt8](repeating: 0, count: count)) }
    }

    /// Copies a range of a file. It is read, not mapped, so that its bytes do not count as used memory.
    private func copy(_ range: MappedRange) throws(CheckpointError) {
        let size = min(range.byteCount, CheckpointStream.pieceByteCount)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 64)
        defer { buffer.deallocate() }
        var done = 0
        while done < range.byteCount {
            let count = try range.read(at: done, into: buffer)
            try emit(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            done += count
        }
    }
}
