/// Where the bytes of a tensor come from. It can be printed; bytes are read when rows are requested.
public enum Recipe: Sendable, CustomStringConvertible {
    /// A range of a mapped file, the most common case.
    case mapped(MappedRange)
    /// Compressed bytes in an archive.
    case archived(any ArchivedBytes)
    /// Rows of another recipe: output row `r` is source row `map.source(of: r)`.
    indirect case rows(Recipe, RowMap)
    /// Rows of several recipes in turn.
    indirect case joined(RowJoin)
    /// Rows that are computed from others: a cast, a quantization, a delta.
    indirect case computed(any RowSource)

    /// The recipe in words, for `--dry-run`.
    public var description: String {
        switch self {
        case .mapped(let range):
            "bytes \(range.byteOffset)..<\(range.byteEnd) of \(range.file.name)"
        case .archived(let source): source.description
        case .rows(let source, let map): "\(map) of \(source)"
        case .joined(let join): join.description
        case .computed(let source): source.description
        }
    }

    /// How many rows are best computed at once.
    var rowsTogether: Int { if case .computed(let source) = self { max(1, source.rowsTogether) } else { 1 } }

    /// The range of a file with exactly these bytes; `nil` when they are computed.
    package var mappedRange: MappedRange? {
        if case .mapped(let range) = self { range } else { nil }
    }

    /// The name of the file, possibly in an archive, with exactly these bytes; `nil` when they are computed.
    package var fileName: String? {
        if case .archived(let source) = self { source.fileName } else { mappedRange?.file.name }
    }

    /// Rows in another order. Contiguous rows of a file become a range of the file, so that the kernel still copies
    /// them; so do contiguous rows of a join that come from one source, and of reordered rows that lie in one run.
    package func taking(_ map: RowMap, rowByteCount: Int) -> Recipe {
        guard let rows = map.contiguous, !rows.isEmpty else { return .rows(self, map) }
        switch self {
        case .mapped(let range):
            let start = rows.lowerBound * rowByteCount  // fits: the rows lie in the range
            let byteCount = rows.count * rowByteCount  // fits: the rows lie in the range
            return .mapped(range.part(start..<start + byteCount))  // fits: the rows lie in the range
        case .joined(let join):
            let runs = join.runs(rows)
            guard let run = runs.first, runs.count == 1 else { return .rows(self, map) }
            let part = RowMap(axes: [RowMap.Axis(count: run.rows.count, stride: 1)], first: run.rows.lowerBound)
            return run.part.recipe.taking(part, rowByteCount: rowByteCount)
        case .rows(let source, let order):
            guard let range = order.contiguous(rows) else { return .rows(self, map) }
            let part = RowMap(axes: [RowMap.Axis(count: range.count, stride: 1)], first: range.lowerBound)
            return source.taking(part, rowByteCount: rowByteCount)
        case .archived, .computed: return .rows(self, map)
        }
    }

    /// Rows of several recipes in turn. Parts that follow each other in a file become one range of it.
    package static func joining(_ join: RowJoin) -> Recipe {
        guard join.turns == 1, let first = join.parts.first?.recipe.mappedRange else { return .joined(join) }
        var end = first.byteOffset
        for part in join.parts {
            guard let range = part.recipe.mappedRange, range.file === first.file, range.byteOffset == end else {
                return .joined(join)
            }
            end = range.byteEnd
        }
        return .mapped(MappedRange(file: first.file, byteOffset: first.byteOffset, byteCount: end - first.byteOffset))
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

    /// Writes the bytes of a range of rows to the start of `output`, which must be large enough.
    package func write(
        rows: Range<Int>, rowByteCount: Int, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        switch self {
        case .mapped(let range):
            defer { withExtendedLifetime(range.file) {} }
            output.copyMemory(from: range.rows(rows, rowByteCount))
        case .archived(let source):
            let start = rows.lowerBound * rowByteCount  // fits: a position in the tensor
            let byteCount = rows.count * rowByteCount  // fits: a part of the tensor
            try source.read(from: start, into: UnsafeMutableRawBufferPointer(rebasing: output[..<byteCount]))
        case .rows(let source, let map):
            var row = rows.lowerBound
            while row < rows.upperBound {
                let next = min(rows.upperBound, (row / map.run + 1) * map.run)  // fits: a row of the result
                let from = map.source(of: row)
                let range = from..<from + next - row  // fits: rows of the source
                let start = (row - rows.lowerBound) * rowByteCount  // fits: a position in the output
                let byteCount = range.count * rowByteCount  // fits: a part of the output
                let target = UnsafeMutableRawBufferPointer(rebasing: output[start...].prefix(byteCount))
                try source.write(rows: range, rowByteCount: rowByteCount, into: target)
                row = next
            }
        case .joined(let join):
            var start = 0
            for (part, rows) in join.runs(rows) {
                let byteCount = rows.count * rowByteCount  // fits: a part of the output
                let target = UnsafeMutableRawBufferPointer(rebasing: output[start...].prefix(byteCount))
                try part.recipe.write(rows: rows, rowByteCount: rowByteCount, into: target)
                start += byteCount  // fits: a position in the output
            }
        case .computed(let source):
            try source.write(rows: rows, into: output)
        }
    }
}

/// Rows of a tensor that are computed on request.
///
/// A source is a value: the same rows give the same bytes from any thread, in any order.
public protocol RowSource: Sendable, CustomStringConvertible {
    /// Writes the bytes of output rows `rows` to the start of `output`.
    func write(
        rows: Range<Int>, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError)

    /// How many rows are computed from the same part of the source: ranges of this many cost no work twice.
    var rowsTogether: Int { get }

    /// Everything that decides the bytes, as text: two sources with the same text give the same bytes. A resumed run goes on
    /// with what an earlier one wrote when the texts are equal.
    ///
    /// The default is the type with the values of all stored properties. It takes objects and closures by their type alone:
    /// a source that holds one gives its own text.
    var fingerprint: String { get }
}

extension RowSource {
    /// Rows that do not depend on each other.
    public var rowsTogether: Int { 1 }

    /// The type and the values of all stored properties; of objects and closures the type alone.
    public var fingerprint: String { Fingerprint.members(of: self) }
}

/// A range of bytes in an archive, unpacked on request from any thread.
public protocol ArchivedBytes: Sendable, CustomStringConvertible {
    /// The name of the file that the bytes are of.
    var fileName: String { get }
    /// Fills `output` with the bytes from an offset in the range.
    func read(from start: Int, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError)
}
