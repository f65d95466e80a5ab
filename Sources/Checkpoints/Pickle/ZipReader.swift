/// The headers of a zip archive, read one after another.
struct ZipReader {
    private var cursor: ByteCursor

    /// The directory as the end of the file describes it.
    struct End {
        let byteOffset: Int
        let byteCount: Int
        let count: Int
    }

    private static let endByteCount = 22
    private static let wideLocatorByteCount = 20
    private static let wideEndByteCount = 56

    init(bytes: UnsafeRawBufferPointer, path: String) { cursor = ByteCursor(bytes, called: "the file", path: path) }

    /// The file, for messages.
    var path: String { cursor.path }
    /// The next byte.
    var position: Int {
        get { cursor.position }
        set { cursor.move(to: newValue) }
    }

    /// An error at the cursor.
    func error(_ problem: String, hint: String? = nil) -> CheckpointError {
        cursor.error("the archive " + problem, hint: hint)
    }

    /// Skips bytes.
    mutating func skip(_ count: Int) throws(CheckpointError) { try cursor.take(count, "a header of the archive") }

    private mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(CheckpointError) -> Value {
        try cursor.integer(type, "a header of the archive")
    }

    /// The next 16 bits.
    mutating func u16() throws(CheckpointError) -> UInt16 { try integer(UInt16.self) }
    /// The next 32 bits.
    mutating func u32() throws(CheckpointError) -> UInt32 { try integer(UInt32.self) }
    /// The next 64 bits.
    mutating func u64() throws(CheckpointError) -> UInt64 { try integer(UInt64.self) }

    /// The name of a record: a path inside the archive.
    mutating func name(_ count: Int) throws(CheckpointError) -> String {
        let name = try cursor.take(count, "the name of a record")
        let parts = name.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard let text = String(validating: name, as: UTF8.self), !name.contains(0), !name.contains(UInt8(ascii: "\\")),
            parts.first?.isEmpty == false, !parts.contains(where: { $0.elementsEqual("..".utf8) })
        else { throw error("has a record whose name is not a path inside it") }
        return text
    }

    /// The sizes of a header; those with all bits set are replaced by the 64-bit values of the extra field, in order.
    mutating func wideNumbers(_ count: Int, wanted: [UInt32]) throws(CheckpointError) -> [UInt64] {
        let start = position
        try skip(count)
        let end = position
        var numbers = wanted.map(UInt64.init)
        var isWide = false
        position = start
        while position < end {
            guard end - position >= 4 else { throw error("has an extra field that is cut off") }
            let kind = try u16(), size = Int(try u16())
            guard size <= end - position else { throw error("has an extra field that is cut off") }
            let next = position + size
            if kind == 1 {
                guard !isWide else { throw error("has two extra fields of 64-bit sizes") }
                isWide = true
                for index in numbers.indices where wanted[index] == .max {
                    guard next - position >= 8 else { throw error("lacks a 64-bit size") }
                    numbers[index] = try u64()
                }
            }
            position = next
        }
        guard isWide || !wanted.contains(.max) else { throw error("lacks a 64-bit size") }
        return numbers
    }

    /// Where the directory is. The records at the end must be the last bytes of the file: torch.save writes no comment,
    /// and a search could find another directory than other readers do.
    mutating func directoryEnd() throws(CheckpointError) -> End {
        let incomplete = "the file is incomplete, or something was appended to it"
        guard cursor.bytes.count >= ZipReader.endByteCount else {
            throw CheckpointError(file: path, "is a zip archive without its end", hint: incomplete)
        }
        let endOffset = cursor.bytes.count - ZipReader.endByteCount
        position = endOffset
        guard try u32() == 0x0605_4B50 else {
            throw CheckpointError(file: path, "is a zip archive without its end", hint: incomplete)
        }
        let disks = (try u16(), try u16())
        let counts = (here: try u16(), all: try u16())
        let byteCount = try u32(), byteOffset = try u32(), comment = try u16()
        guard disks == (0, 0), counts.here == counts.all else { throw error("is spread over several disks") }
        guard comment == 0 else { throw error("has a comment") }
        var end = (count: UInt64(counts.all), byteCount: UInt64(byteCount), byteOffset: UInt64(byteOffset))
        var limit = endOffset
        if let wide = try wideEnd(before: endOffset) {
            guard counts.all == .max || UInt64(counts.all) == wide.count,
                byteCount == .max || UInt64(byteCount) == wide.byteCount,
                byteOffset == .max || UInt64(byteOffset) == wide.byteOffset
            else { throw error("has two ends that do not agree") }
            (end, limit) = ((wide.count, wide.byteCount, wide.byteOffset), wide.start)
        }
        guard let offset = Int(exactly: end.byteOffset), let size = Int(exactly: end.byteCount),
            let count = Int(exactly: end.count), offset <= limit, size == limit - offset
        else {
            throw error(
                "has a directory of \(end.byteCount.grouped) bytes at byte \(end.byteOffset.grouped); it should end at "
                    + "byte \(limit.grouped)")
        }
        // The shortest entry has 46 bytes and a name.
        guard count <= size / 47 else {
            throw error("has \(count.grouped) records, more than its directory can contain")
        }
        return End(byteOffset: offset, byteCount: size, count: count)
    }

    /// The 64-bit end record before the other one; `nil` without one.
    private mutating func wideEnd(
        before endOffset: Int
    ) throws(CheckpointError) -> (count: UInt64, byteCount: UInt64, byteOffset: UInt64, start: Int)? {
        let locator = endOffset - ZipReader.wideLocatorByteCount
        guard locator >= 0 else { return nil }
        position = locator
        guard try u32() == 0x0706_4B50 else { return nil }
        let start = locator - ZipReader.wideEndByteCount
        guard try u32() == 0, try u64() == UInt64(exactly: start), try u32() <= 1 else {
            throw error("has no 64-bit end record at its stated offset")
        }
        position = start
        guard try u32() == 0x0606_4B50, try u64() == UInt64(ZipReader.wideEndByteCount - 12) else {
            throw error("has a 64-bit end that is damaged")
        }
        try skip(4)
        let disks = (try u32(), try u32())
        let here = try u64(), all = try u64()
        guard disks == (0, 0), here == all else { throw error("is spread over several disks") }
        return (all, try u64(), try u64(), start)
    }
}
