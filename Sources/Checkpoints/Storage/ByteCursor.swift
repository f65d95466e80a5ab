/// A position in the bytes of a file; every read is checked against what is left.
struct ByteCursor {
    /// The file, for messages.
    let path: String
    /// What messages call the bytes: `the file`, `the index`.
    let name: String
    /// The bytes to read; the creator of the cursor keeps them alive.
    let bytes: UnsafeRawBufferPointer
    /// Where the bytes start in the file.
    let start: Int
    /// The next byte.
    private(set) var position = 0
    /// How many bytes of memory the values that are read may still take.
    private var allowance: Int
    /// Whether numbers have their most significant byte first.
    var isBigEndian = false

    /// Enough for the vocabulary of any model; beyond it, a file may take as much memory as it has bytes.
    private static let freeAllowance = 64 << 20

    /// A cursor at the start of some bytes of a file.
    init(_ bytes: UnsafeRawBufferPointer, called name: String, path: String, start: Int = 0) {
        (self.bytes, self.name, self.path, self.start) = (bytes, name, path, start)
        allowance = bytes.count + ByteCursor.freeAllowance  // fits: the bytes are mapped
    }

    /// A cursor at the start of a file; the caller keeps the file alive.
    init(_ file: any FileImage) { self.init(file.bytes, called: "the file", path: file.path) }

    /// Bytes after the cursor that can be looked at.
    var left: Int { bytes.count - position }

    /// An error at a byte, or at the cursor.
    func error(_ problem: String, at place: Int? = nil, hint: String? = nil) -> CheckpointError {
        CheckpointError(
            file: path, byteOffset: start + (place ?? position), problem, hint: hint)  // fits: it lies in the file
    }

    /// Moves to another byte, or to the end.
    ///
    /// - Precondition: the position is within the bytes.
    mutating func move(to place: Int) {
        precondition(0...bytes.count ~= place)
        position = place
    }

    /// The next `count` bytes. Their description is formed only when they are missing, because vocabularies are read
    /// string by string.
    @discardableResult
    mutating func take(_ count: some BinaryInteger, _ what: @autoclosure () -> String) throws(CheckpointError)
        -> UnsafeRawBufferPointer
    {
        guard count >= 0, count <= left else {
            throw error(
                "\(what()) needs \(count.grouped) bytes; \(name) has \(left.grouped) more",
                hint: "the file is incomplete or damaged; fetch it again")
        }
        let end = position + Int(count)  // fits: so many bytes are left
        defer { position = end }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<end])
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
        let count = try integer(UInt64.self, what())
        return try checked(count, of: unit, limit: limit, what())
    }

    /// Checks the number of the items that follow against the bytes left; each needs at least `unit` bytes.
    func checked(
        _ count: some BinaryInteger, of unit: Int, limit: Int, _ what: @autoclosure () -> String
    ) throws(CheckpointError) -> Int {
        guard count <= left / unit else { throw error("\(what()) is \(count.grouped), more than \(name) can hold") }
        guard count <= limit else {
            throw error("\(what()) is \(count.grouped); at most \(limit.grouped) are read")
        }
        return Int(count)
    }
}
