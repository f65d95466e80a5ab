/// Reading of texts and bytes in a pickle, which are not copied.
extension ByteCursor {
    /// A name in a pickle is a module or a class; none comes near this.
    private static let longestLine = 256

    /// A cursor at the start of a pickle.
    init(pickle bytes: UnsafeRawBufferPointer, path: String, start: Int) {
        self.init(bytes, called: "the pickle", path: path, start: start)
    }

    /// The range of the next `count` bytes.
    mutating func span(_ count: some BinaryInteger) throws(CheckpointError) -> PickleSpan {
        let place = position
        let length = try take(count, "a value").count
        guard let offset = UInt32(exactly: place), let length = UInt32(exactly: length) else {
            throw error("the pickle has a value of \(count.grouped) bytes", at: place)
        }
        return PickleSpan(offset: offset, count: length)
    }

    /// The next bytes up to a line feed, which is skipped.
    mutating func line() throws(CheckpointError) -> PickleSpan {
        let rest = bytes[position...].prefix(ByteCursor.longestLine)
        guard let end = rest.firstIndex(of: UInt8(ascii: "\n")) else {
            throw error("the pickle has a name of more than \(ByteCursor.longestLine) bytes, or ends within it")
        }
        let span = try span(end - position)
        try take(1, "the end of a line")
        return span
    }

    /// The bytes of a range that was read before.
    subscript(_ span: PickleSpan) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[Int(span.offset)...].prefix(Int(span.count)))
    }

    /// The text of a range that was read before, which must be UTF-8.
    func text(_ span: PickleSpan) throws(CheckpointError) -> String {
        guard let text = String(validating: self[span], as: UTF8.self) else {
            throw error("the pickle has a text that is not UTF-8", at: Int(span.offset))
        }
        return text
    }
}

/// A range of bytes in a pickle: texts and numbers are not copied.
struct PickleSpan {
    let offset: UInt32
    let count: UInt32
}
