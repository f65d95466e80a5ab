/// Where the bytes of a tensor come from. It can be printed, and nothing is read before somebody asks for rows.
public enum Recipe: Sendable, CustomStringConvertible {
    /// A range of a mapped file: what most tensors have, so that it lies in the value itself.
    case mapped(MappedRange)
    /// Bytes that have to be unpacked.
    case packed(any PackedBytes)
    /// The rows of another recipe in another order: output row `r` is source row `order.source(of: r)`.
    indirect case reordered(Recipe, RowOrder)
    /// Rows that are computed from others: a cast, a quantization, a delta.
    indirect case computed(any RowSource)

    /// The recipe in words, for `--dry-run`.
    public var description: String {
        switch self {
        case .mapped(let range):
            "bytes \(range.byteOffset)..<\(range.byteEnd) of \(range.file.name)"
        case .packed(let source): source.description
        case .reordered(let source, let order): "\(order) of \(source)"
        case .computed(let source): source.description
        }
    }

    /// How many rows are best computed at once.
    var rowsTogether: Int { if case .computed(let source) = self { max(1, source.rowsTogether) } else { 1 } }

    /// The range of a file that holds exactly these bytes; `nil` when they have to be made.
    package var mappedRange: MappedRange? {
        if case .mapped(let range) = self { range } else { nil }
    }

    /// The name of the file that holds exactly these bytes, also when it lies in an archive; `nil` when they have to be made.
    package var fileName: String? {
        if case .packed(let source) = self { source.fileName } else { mappedRange?.file.name }
    }

    /// Calls `body` with the bytes of some rows.
    package func withBytes<Result>(
        rows: Range<Int>, rowByteCount: Int,
        _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Result
    ) throws(CheckpointError) -> Result {
        if case .mapped(let range) = self {
            defer { withExtendedLifetime(range.file) {} }
            return try body(range.rows(rows, rowByteCount))
        }
        let byteCount = rows.count * rowByteCount  // fits: a part of the tensor, whose bytes were counted
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 64)
        defer { buffer.deallocate() }
        try write(rows: rows, rowByteCount: rowByteCount, into: buffer)
        return try body(UnsafeRawBufferPointer(buffer))
    }

    /// Writes the bytes of some rows to the start of `output`, which must hold them.
    package func write(
        rows: Range<Int>, rowByteCount: Int, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        switch self {
        case .mapped(let range):
            defer { withExtendedLifetime(range.file) {} }
            output.copyMemory(from: range.rows(rows, rowByteCount))
        case .packed(let source):
            let start = rows.lowerBound * rowByteCount  // fits: a place in the tensor
            let byteCount = rows.count * rowByteCount  // fits: a part of the tensor
            try source.read(from: start, into: UnsafeMutableRawBufferPointer(rebasing: output[..<byteCount]))
        case .reordered(let source, let order):
            for (place, row) in rows.enumerated() {
                let from = order.source(of: row)
                let start = place * rowByteCount  // fits: a place in the output
                let target = UnsafeMutableRawBufferPointer(rebasing: output[start...].prefix(rowByteCount))
                try source.write(rows: Range(from...from), rowByteCount: rowByteCount, into: target)
            }
        case .computed(let source):
            try source.write(rows: rows, into: output)
        }
    }
}

/// Rows of a tensor that are computed when they are asked for.
///
/// A source is a value: the same rows give the same bytes from any thread, in any order.
public protocol RowSource: Sendable, CustomStringConvertible {
    /// Writes the bytes of output rows `rows` to the start of `output`.
    func write(
        rows: Range<Int>, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError)

    /// How many rows are computed from the same part of the source: ranges of this many cost no work twice.
    var rowsTogether: Int { get }

    /// Everything that decides the bytes, as text: two sources with the same text give the same bytes.
    var fingerprint: String { get }
}

extension RowSource {
    /// Rows that do not depend on each other.
    public var rowsTogether: Int { 1 }

    /// The type and the values of all stored properties.
    public var fingerprint: String { Fingerprint.members(of: self) }
}

/// A range of bytes that is unpacked when it is asked for, from any thread.
public protocol PackedBytes: Sendable, CustomStringConvertible {
    /// The name of the file that the bytes are of.
    var fileName: String { get }
    /// Fills `output` with the bytes from an offset in the range.
    func read(from start: Int, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError)
}

/// The two row orders of rotary embeddings: HF keeps the halves of a head apart, GGUF interleaves them.
public enum RowOrder: Sendable, Equatable, CustomStringConvertible {
    /// From halves to interleaved pairs, in heads of `headSize` rows.
    case interleave(headSize: Int)
    /// From interleaved pairs to halves.
    case deinterleave(headSize: Int)

    /// The row of the source that becomes output row `row`.
    public func source(of row: Int) -> Int {
        switch self {
        case .interleave(let size):
            let inner = row % size
            return row - inner + (inner % 2) * (size / 2) + inner / 2  // fits: another row of the same head
        case .deinterleave(let size):
            let inner = row % size
            return row - inner + (inner % (size / 2)) * 2 + inner / (size / 2)  // fits: another row of the same head
        }
    }

    /// The order in words.
    public var description: String {
        switch self {
        case .interleave: "rows interleaved"
        case .deinterleave: "rows taken apart"
        }
    }
}
