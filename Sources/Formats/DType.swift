/// An element type: its block size and its names in the containers.
///
/// The rows come from `formats/quants/types.json`; nothing else in the package knows a block size.
public struct DType: Hashable, Sendable, CustomStringConvertible {
    private let index: UInt8
    // Cached, because they are used for every tensor.
    private let elements: UInt16
    private let bytes: UInt16

    /// A field of a block: numbers of several bytes behind each other.
    public struct Field: Sendable, Equatable {
        /// Where the first number begins, in bytes from the start of the block.
        public let byteOffset: Int
        /// Bytes in one number.
        public let width: Int
        /// How many there are.
        public let count: Int
    }

    private struct Row: Sendable {
        let name: String
        let blockCount: Int
        let blockByteCount: Int
        let ggml: UInt32?
        let isSafetensors: Bool
        let fallback: String?
        let numbers: [Field]
    }

    private static let rows: [Row] = {
        let file = EmbeddedFiles.parsed(under: "quants/types.json").first?.value
        return (file?.array ?? []).map { row in
            guard let name = row["name"]?.string, let elements = row["elements"]?.int,
                let bytes = row["bytes"]?.int
            else { fatalError("formats/quants/types.json: a row is incomplete") }
            return Row(
                name: name, blockCount: elements, blockByteCount: bytes,
                ggml: row["ggml"]?.int.map(UInt32.init), isSafetensors: row["safetensors"] == .bool(true),
                fallback: row["fallback"]?.string, numbers: numbers(row, isPlain: elements == 1, byteCount: bytes))
        }
    }()

    /// The fields of a type; an element without blocks is one number.
    private static func numbers(_ row: JSON, isPlain: Bool, byteCount: Int) -> [Field] {
        guard let fields = row["numbers"]?.array else {
            return isPlain && byteCount > 1 ? [Field(byteOffset: 0, width: byteCount, count: 1)] : []
        }
        return fields.map { field in
            guard let values = field.array?.compactMap(\.int), values.count == 3 else {
                fatalError("formats/quants/types.json: a field is incomplete")
            }
            return Field(byteOffset: values[0], width: values[1], count: values[2])
        }
    }

    private static let ggml: [UInt32: DType] = Dictionary(
        uniqueKeysWithValues: all.compactMap { type in type.ggml.map { ($0, type) } })
    private static let safetensors: [String: DType] = Dictionary(
        uniqueKeysWithValues: all.filter(\.isSafetensors).map { ($0.name, $0) })

    private static func first(where matches: (Row) -> Bool) -> DType? {
        rows.firstIndex(where: matches).map(DType.init(row:))
    }

    private init(row: Int) {
        index = UInt8(row)
        elements = UInt16(DType.rows[row].blockCount)
        bytes = UInt16(DType.rows[row].blockByteCount)
    }

    /// The type with this name (`BF16`, `Q4_K`), in upper or lower case; `nil` when there is none.
    public init?(named name: String) {
        let upper = name.uppercased()
        guard let found = DType.first(where: { $0.name == upper }) else { return nil }
        self = found
    }

    /// The type with this number in ggml's enumeration; `nil` when resect does not know it.
    public init?(ggml: UInt32) {
        guard let found = DType.ggml[ggml] else { return nil }
        self = found
    }

    /// The type that a safetensors header calls by this name, in capitals; `nil` when safetensors does not have it.
    public init?(safetensors name: String) {
        guard let found = DType.safetensors[name] else { return nil }
        self = found
    }

    private init(known name: String) {
        guard let found = DType(named: name) else {
            fatalError("formats/quants/types.json has no \(name)")
        }
        self = found
    }

    private var row: Row { DType.rows[Int(index)] }

    /// Every type, in the order of the file.
    public static var all: [DType] { rows.indices.map(DType.init(row:)) }

    /// The name, as ggml and safetensors write it.
    public var name: String { row.name }
    /// The name.
    public var description: String { row.name }
    /// The number of elements in a block; 1 for types without blocks.
    public var blockCount: Int { Int(elements) }
    /// Bytes in one block.
    public var blockByteCount: Int { Int(bytes) }
    /// The number in ggml's enumeration; `nil` when ggml does not have the type.
    public var ggml: UInt32? { row.ggml }
    /// Whether safetensors can store it.
    public var isSafetensors: Bool { row.isSafetensors }
    /// Whether elements are stored in blocks with shared scales.
    public var isQuantized: Bool { elements >= 32 }
    /// The substitute with smaller blocks for row lengths that are not a multiple of the block size.
    public var fallback: DType? { row.fallback.flatMap(DType.init(named:)) }
    /// The fields of a block whose bytes a big-endian file has in the opposite order.
    public var numbers: [Field] { row.numbers }
    /// Bits per element, scales included.
    public var bitsPerElement: Double { Double(blockByteCount * 8) / Double(blockCount) }

    /// The bytes of `count` elements; `nil` when they do not fill whole blocks or the number overflows.
    public func byteCount(of count: Int) -> Int? {
        if elements > 1, count % blockCount != 0 { return nil }
        let blocks = elements > 1 ? count / blockCount : count
        let (bytes, overflow) = blocks.multipliedReportingOverflow(by: blockByteCount)
        return overflow ? nil : bytes
    }

    /// 32-bit float.
    public static let f32 = DType(known: "F32")
    /// 16-bit IEEE float.
    public static let f16 = DType(known: "F16")
    /// 16-bit brain float.
    public static let bf16 = DType(known: "BF16")
    /// 8-bit blocks of 32.
    public static let q8_0 = DType(known: "Q8_0")
    /// 3-bit super-blocks of 256.
    public static let q3_K = DType(known: "Q3_K")
    /// 4-bit super-blocks of 256.
    public static let q4_K = DType(known: "Q4_K")
    /// 5-bit super-blocks of 256.
    public static let q5_K = DType(known: "Q5_K")
}
