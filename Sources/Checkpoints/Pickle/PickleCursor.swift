/// A cursor over the bytes of a pickle; every read is checked against what is left.
struct PickleCursor {
    /// The file, for messages.
    let path: String
    /// The bytes that may be read; whoever made the cursor keeps them alive.
    let bytes: UnsafeRawBufferPointer
    /// Where the bytes start in the file.
    let start: Int
    /// The next byte.
    private(set) var position = 0

    /// A name in a pickle is a module or a class; none comes near this.
    private static let longestLine = 256

    init(path: String, bytes: UnsafeRawBufferPointer, start: Int) {
        self.path = path
        self.bytes = bytes
        self.start = start
    }

    /// Bytes that are left.
    var left: Int { bytes.count - position }

    /// An error at a place, or at the cursor.
    func error(_ problem: String, at place: Int? = nil, hint: String? = nil) -> CheckpointError {
        CheckpointError(file: path, byteOffset: start + (place ?? position), "the pickle " + problem, hint: hint)
    }

    /// The place of the next `count` bytes.
    mutating func take(_ count: UInt64) throws(CheckpointError) -> PickleSpan {
        guard count <= UInt64(left), let offset = UInt32(exactly: position), let length = UInt32(exactly: count) else {
            throw error(
                "needs \(count.grouped) bytes; it has \(left.grouped) more",
                hint: "the file is incomplete or damaged; fetch it again")
        }
        position += Int(length)
        return PickleSpan(offset: offset, count: length)
    }

    /// The next little-endian number.
    mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(CheckpointError) -> Value {
        let span = try take(UInt64(MemoryLayout<Value>.size))
        return Value(littleEndian: self[span].loadUnaligned(as: Value.self))
    }

    /// The next bytes up to a line feed, which is skipped.
    mutating func line() throws(CheckpointError) -> PickleSpan {
        let rest = bytes[position..<min(bytes.count, position + PickleCursor.longestLine)]
        guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
            throw error("has a name of more than \(PickleCursor.longestLine) bytes, or ends within it")
        }
        let span = try take(UInt64(end - position))
        position += 1
        return span
    }

    /// The bytes at a place that was taken before.
    subscript(_ span: PickleSpan) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[Int(span.offset)...].prefix(Int(span.count)))
    }

    /// The text at a place, which must be UTF-8.
    func text(_ span: PickleSpan) throws(CheckpointError) -> String {
        guard let text = String(validating: self[span], as: UTF8.self) else {
            throw error("has a text that is not UTF-8", at: Int(span.offset))
        }
        return text
    }
}

/// A place in a pickle: texts and numbers stay where they are.
struct PickleSpan {
    let offset: UInt32
    let count: UInt32
}
