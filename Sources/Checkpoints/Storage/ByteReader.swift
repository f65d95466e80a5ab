/// A cursor over the bytes of a file; every read is checked against what is left.
struct ByteReader {
    let file: any FileImage
    private let bytes: UnsafeRawBufferPointer
    private(set) var position = 0
    /// What the values that are read may still take in memory.
    private var allowance: Int
    /// Whether numbers have their most significant byte first.
    var isBigEndian = false

    /// Enough for the vocabulary of any model; beyond it, a file may take as much memory as it has bytes.
    private static let freeAllowance = 64 << 20

    /// A cursor at the start of a file; the caller keeps the file alive.
    init(_ file: any FileImage) {
        self.file = file
        bytes = file.bytes
        allowance = file.bytes.count + ByteReader.freeAllowance  // fits: the bytes are mapped
    }

    /// Bytes after the cursor that can be looked at.
    var left: Int { bytes.count - position }

    /// An error at the cursor.
    func error(_ problem: String, hint: String? = nil) -> CheckpointError {
        CheckpointError(file: file.path, byteOffset: position, problem, hint: hint)
    }

    /// The next `count` bytes. What they are is put into words only when they are missing: a vocabulary is read string by string.
    mutating func take(_ count: Int, _ what: @autoclosure () -> String) throws(CheckpointError)
        -> UnsafeRawBufferPointer
    {
        guard count >= 0, count <= left else {
            throw error(
                "\(what()) needs \(count.grouped) bytes; the file has \(left.grouped) more",
                hint: "the file is incomplete or damaged; fetch it again")
        }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    /// The next integer.
    mutating func integer<Value: FixedWidthInteger>(
        _ type: Value.Type, _ what: @autoclosure () -> String
    ) throws(CheckpointError) -> Value {
        let bytes = try take(MemoryLayout<Value>.size, what())
        let value = bytes.loadUnaligned(as: Value.self)
        return isBigEndian ? Value(bigEndian: value) : Value(littleEndian: value)
    }

    /// The next integer of the type that the caller expects.
    mutating func integer<Value: FixedWidthInteger>(_ what: @autoclosure () -> String) throws(CheckpointError) -> Value
    {
        try integer(Value.self, what())
    }

    /// Accounts for the memory of values, which can be many times as large as their bytes in the file.
    mutating func spend(_ byteCount: Int, _ what: @autoclosure () -> String) throws(CheckpointError) {
        guard byteCount <= allowance else {
            throw error("\(what()) takes more memory than a file of \(bytes.count.grouped) bytes should need")
        }
        allowance -= byteCount
    }

    /// A count stored in 64 bits that cannot be larger than the file allows.
    ///
    /// - Parameter unit: the fewest bytes that one of the counted things takes.
    mutating func count(of unit: Int, limit: Int, _ what: @autoclosure () -> String) throws(CheckpointError) -> Int {
        let raw = try integer(UInt64.self, what())
        guard raw <= UInt64(limit), let count = Int(exactly: raw), count <= left / unit else {
            throw error("\(what()) is \(raw.grouped), more than the file can hold")
        }
        return count
    }
}
