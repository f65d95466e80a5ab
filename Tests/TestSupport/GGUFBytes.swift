/// A GGUF file, byte by byte, as right or as wrong as a test wants it.
public struct GGUFBytes: Sendable {
    /// A metadata value, already in bytes.
    public struct Value: Sendable {
        /// The number of its type.
        public var type: UInt32
        /// Its bytes.
        public var bytes: [UInt8]

        /// A value of any type and any bytes.
        public init(type: UInt32, bytes: [UInt8]) {
            self.type = type
            self.bytes = bytes
        }

        /// A 32-bit number.
        public static func u32(_ value: UInt32) -> Value { Value(type: 4, bytes: littleEndian(value)) }
        /// A 32-bit float.
        public static func f32(_ value: Float) -> Value { Value(type: 6, bytes: littleEndian(value.bitPattern)) }
        /// A truth value.
        public static func bool(_ value: Bool) -> Value { Value(type: 7, bytes: [value ? 1 : 0]) }
        /// A text.
        public static func text(_ value: String) -> Value { Value(type: 8, bytes: GGUFBytes.text(value)) }
        /// An array of values of one type.
        public static func array(_ type: UInt32, _ values: [Value]) -> Value {
            Value(
                type: 9,
                bytes: littleEndian(type) + littleEndian(UInt64(values.count)) + values.flatMap(\.bytes))
        }
    }

    /// One tensor; the shape is row-major, as everywhere but in the file.
    public struct Tensor: Sendable {
        /// Its name.
        public var name: String
        /// ggml's number of its type.
        public var type: UInt32
        /// Its shape, outermost first.
        public var shape: [UInt64]
        /// Its data.
        public var data: [UInt8]
        /// The offset that the file claims; `nil` for the true one.
        public var claimedOffset: UInt64?

        /// A tensor.
        public init(
            _ name: String, type: UInt32 = 0, shape: [UInt64], data: [UInt8], claimedOffset: UInt64? = nil
        ) {
            self.name = name
            self.type = type
            self.shape = shape
            self.data = data
            self.claimedOffset = claimedOffset
        }
    }

    /// The version.
    public var version: UInt32 = 3
    /// The number of tensors that the file claims; `nil` for the true one.
    public var claimedTensors: UInt64?
    /// The number of pairs that the file claims; `nil` for the true one.
    public var claimedPairs: UInt64?
    /// The pairs.
    public var pairs: [(key: String, value: Value)]
    /// The tensors.
    public var tensors: [Tensor]
    /// The alignment of the data.
    public var alignment = 32

    /// A file of the given pairs and tensors.
    public init(_ pairs: [(key: String, value: Value)], _ tensors: [Tensor] = []) {
        self.pairs = pairs
        self.tensors = tensors
    }

    /// The bytes before the data, without padding.
    public var header: [UInt8] {
        var bytes = Array("GGUF".utf8) + littleEndian(version)
        bytes += littleEndian(claimedTensors ?? UInt64(tensors.count))
        bytes += littleEndian(claimedPairs ?? UInt64(pairs.count))
        for (key, value) in pairs { bytes += GGUFBytes.text(key) + littleEndian(value.type) + value.bytes }
        var offset = 0
        for tensor in tensors {
            bytes += GGUFBytes.text(tensor.name) + littleEndian(UInt32(tensor.shape.count))
            for size in tensor.shape.reversed() { bytes += littleEndian(size) }
            bytes += littleEndian(tensor.type) + littleEndian(tensor.claimedOffset ?? UInt64(offset))
            offset += padded(tensor.data.count)
        }
        return bytes
    }

    /// The whole file.
    public var bytes: [UInt8] {
        var bytes = header
        bytes += zeros(padded(bytes.count) - bytes.count)
        for tensor in tensors { bytes += tensor.data + zeros(padded(tensor.data.count) - tensor.data.count) }
        return bytes
    }

    /// A text with its length before it.
    public static func text(_ value: String) -> [UInt8] {
        littleEndian(UInt64(value.utf8.count)) + Array(value.utf8)
    }

    private func padded(_ count: Int) -> Int { (count + alignment - 1) / alignment * alignment }

    private func zeros(_ count: Int) -> [UInt8] { Array(repeating: 0, count: count) }
}

/// The bytes of a number, least significant first.
public func littleEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}

/// The bytes of some floats.
public func littleEndian(_ values: [Float]) -> [UInt8] {
    values.flatMap { littleEndian($0.bitPattern) }
}
