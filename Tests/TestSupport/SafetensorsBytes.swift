/// A safetensors file, byte by byte, as right or as wrong as a test wants it.
public struct SafetensorsBytes: Sendable {
    /// The text of the header.
    public var header: String
    /// The data behind it.
    public var data: [UInt8]
    /// The length that the file claims for the header; `nil` for the true one.
    public var claimedLength: UInt64?

    /// A file of the given parts.
    public init(header: String, data: [UInt8], claimedLength: UInt64? = nil) {
        self.header = header
        self.data = data
        self.claimedLength = claimedLength
    }

    /// A right file: tensors one after another.
    public init(_ tensors: [(name: String, dtype: String, shape: [Int], data: [UInt8])], metadata: String? = nil) {
        var members = metadata.map { ["\"__metadata__\":\($0)"] } ?? []
        var data: [UInt8] = []
        for tensor in tensors {
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            let end = data.count + tensor.data.count
            members.append(
                "\"\(tensor.name)\":{\"dtype\":\"\(tensor.dtype)\",\"shape\":[\(shape)],"
                    + "\"data_offsets\":[\(data.count),\(end)]}")
            data += tensor.data
        }
        self.init(header: "{" + members.joined(separator: ",") + "}", data: data)
    }

    /// The whole file.
    public var bytes: [UInt8] {
        let length = claimedLength ?? UInt64(header.utf8.count)
        return withUnsafeBytes(of: length.littleEndian) { Array($0) } + Array(header.utf8) + data
    }
}
