/// A message in Protocol Buffers' wire format, read field by field without a schema.
struct ProtobufMessage {
    /// A field's value.
    enum Value {
        case number(UInt64)
        case fixed32(UInt32)
        case fixed64
        /// Text, bytes or another message.
        case bytes(ArraySlice<UInt8>)
    }

    /// A field.
    struct Field {
        let number: Int
        let value: Value

        /// The value as a number.
        var int: Int? { if case .number(let value) = value { Int(exactly: value) } else { nil } }
        /// The value as a truth value.
        var bool: Bool? { int.map { $0 != 0 } }
        /// The value as a float.
        var float: Float? { if case .fixed32(let bits) = value { Float(bitPattern: bits) } else { nil } }
        /// The value as bytes.
        var bytes: ArraySlice<UInt8>? { if case .bytes(let value) = value { value } else { nil } }
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    /// The next field; `nil` at the end.
    ///
    /// - Throws: `Broken` when the bytes are not a valid message.
    mutating func next() throws(Broken) -> Field? {
        if rest.isEmpty { return nil }
        let tag = try varint()
        guard tag >> 3 > 0, let number = Int(exactly: tag >> 3) else { throw Broken() }
        switch tag & 7 {
        case 0: return Field(number: number, value: .number(try varint()))
        case 1:
            _ = try take(8)
            return Field(number: number, value: .fixed64)
        case 2:
            guard let count = Int(exactly: try varint()) else { throw Broken() }
            return Field(number: number, value: .bytes(try take(count)))
        case 5:
            let bits = try take(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return Field(number: number, value: .fixed32(bits))
        default: throw Broken()
        }
    }

    /// The bytes are not a valid message.
    struct Broken: Error {}

    private mutating func take(_ count: Int) throws(Broken) -> ArraySlice<UInt8> {
        guard count >= 0, count <= rest.count else { throw Broken() }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    private mutating func varint() throws(Broken) -> UInt64 {
        var value: UInt64 = 0
        for index in 0..<UInt64(10) {
            guard let byte = rest.popFirst() else { throw Broken() }
            // The tenth byte holds one bit.
            if index == 9, byte > 1 { throw Broken() }
            value |= UInt64(byte & 0x7F) << (7 * index)
            if byte < 0x80 { return value }
        }
        throw Broken()
    }
}
