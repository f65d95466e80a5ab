internal import Formats

// GGUF, versions 2 and 3, all numbers in one byte order:
//
//     "GGUF"  u32 version  u64 tensor count  u64 pair count
//     pairs:    string key, u32 type, value
//     tensors:  string name, u32 dimensions, u64 sizes (innermost first), u32 type, u64 offset
//     padding to the alignment (general.alignment, 32 when absent)
//     data:     each tensor at its offset from here, padded to the alignment
//
//     string:   u64 bytes, UTF-8;   array: u32 element type, u64 count, elements
//
// The reader refuses what llama.cpp or gguf-py refuses, and text that is not UTF-8.

/// The constants of the format.
enum GGUF {
    static let magic: [UInt8] = [0x47, 0x47, 0x55, 0x46]
    static let defaultAlignment = 32
    /// llama.cpp's caps, which no real file comes near.
    static let maximumStringOrArray = 1 << 30
    static let maximumNameBytes = 63
    static let maximumDimensions = 4

    /// The approximate memory of a metadata pair and of a tensor, including lookup tables.
    private static let pairMemory = 128
    private static let infoMemory = 512

    /// The tensors and pairs of one file, checked as a whole.
    struct Contents {
        var metadata: GGUFMetadata
        var tensors: [Tensor]
    }

    /// Reads and checks the header of a file, so that every tensor is within the file.
    static func read(_ file: any FileImage) throws(CheckpointError) -> Contents {
        var reader = ByteCursor(file)
        guard try reader.take(4, "the magic number").elementsEqual(magic) else {
            throw CheckpointError(file: file.path, "is not a GGUF file")
        }
        let version = try reader.integer(UInt32.self, "the version")
        // With swapped bytes the low half of a small number is zero.
        reader.isBigEndian = version & 0xFFFF == 0
        let number = reader.isBigEndian ? version.byteSwapped : version
        guard number == 2 || number == 3 else {
            throw reader.error("is GGUF version \(number)", hint: "versions 2 and 3 are read")
        }
        let tensorCount = try reader.count(of: 24, limit: maximumStringOrArray, "the tensor count")
        let pairCount = try reader.count(of: 13, limit: maximumStringOrArray, "the number of pairs")
        let metadata = try readPairs(pairCount, from: &reader)
        let alignment = try alignment(of: metadata, file: file.path)
        let infos = try readInfos(tensorCount, from: &reader)
        let (start, overflow) = reader.position.aligned(to: alignment)
        guard !overflow else { throw reader.error("the header is too long") }
        var tensors = try locate(infos, start: start, alignment: alignment, file: file)
        if reader.isBigEndian { tensors = tensors.map { $0.byteSwapped() } }
        return Contents(metadata: metadata, tensors: tensors)
    }

    private struct Info {
        let name: String
        let dtype: DType
        let shape: [Int]
        let byteOffset: UInt64
    }

    private static func readPairs(
        _ count: Int, from reader: inout ByteCursor
    ) throws(CheckpointError) -> GGUFMetadata {
        var metadata = GGUFMetadata()
        var seen = NameSet(capacity: count)
        for _ in 0..<count {
            let key = try string(&reader, "a key")
            guard !key.isEmpty else { throw reader.error("a key has no name") }
            let type = try reader.integer(UInt32.self, "the type of '\(key)'")
            try reader.spend(pairMemory, "the key '\(key)'")
            guard seen.insert(key) else {
                throw reader.error("the key '\(key)' occurs twice")
            }
            metadata.append(newKey: key, try value(type, &reader, key: key, nested: false))
        }
        return metadata
    }

    private static func string(
        _ reader: inout ByteCursor, _ what: @autoclosure () -> String
    ) throws(CheckpointError) -> String {
        let count = try reader.count(of: 1, limit: maximumStringOrArray, "the length of \(what())")
        let bytes = try reader.take(count, what())
        // Short texts are stored inline.
        if count > 15 { try reader.spend(count, what()) }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw reader.error("\(what()) is not UTF-8")
        }
        return text
    }

    private static func value(
        _ type: UInt32, _ reader: inout ByteCursor, key: String, nested: Bool
    ) throws(CheckpointError) -> GGUFValue {
        func what() -> String { "the value of '\(key)'" }
        switch type {
        case 0: return .u8(try reader.integer(what()))
        case 1: return .i8(try reader.integer(what()))
        case 2: return .u16(try reader.integer(what()))
        case 3: return .i16(try reader.integer(what()))
        case 4: return .u32(try reader.integer(what()))
        case 5: return .i32(try reader.integer(what()))
        case 6: return .f32(Float(bitPattern: try reader.integer(what())))
        case 7: return .bool(try reader.integer(UInt8.self, what()) != 0)
        case 8: return .string(try string(&reader, what()))
        case 10: return .u64(try reader.integer(what()))
        case 11: return .i64(try reader.integer(what()))
        case 12: return .f64(Double(bitPattern: try reader.integer(what())))
        case 9 where !nested:
            let element = try reader.integer(UInt32.self, what())
            guard let unit = minimumByteCount[element] else {
                throw reader.error(
                    element == 9
                        ? "the array '\(key)' contains arrays, which no runtime reads"
                        : "the array '\(key)' has elements of unknown type \(element)")
            }
            let count = try reader.count(of: unit, limit: maximumStringOrArray, "the length of '\(key)'")
            let (memory, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<GGUFValue>.stride)
            try reader.spend(overflow ? Int.max : memory, "the array '\(key)'")
            var values: [GGUFValue] = []
            values.reserveCapacity(count)
            for _ in 0..<count {
                values.append(try value(element, &reader, key: key, nested: true))
            }
            return .array(elementType: element, values)
        default: throw reader.error("'\(key)' has a value of unknown type \(type)")
        }
    }

    /// The minimum size of an array element of each type; nested arrays are refused, as in llama.cpp.
    private static let minimumByteCount: [UInt32: Int] = [
        0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 8: 8, 10: 8, 11: 8, 12: 8,
    ]

    /// The alignment in the metadata, checked.
    static func alignment(
        of metadata: GGUFMetadata, file: String
    ) throws(CheckpointError) -> Int {
        guard let value = metadata["general.alignment"] else { return defaultAlignment }
        guard case .u32(let alignment) = value, alignment > 0, alignment.nonzeroBitCount == 1 else {
            throw CheckpointError(
                file: file, "general.alignment is \(value.text), not a power of two of the type u32")
        }
        return Int(alignment)
    }

    private static func readInfos(
        _ count: Int, from reader: inout ByteCursor
    ) throws(CheckpointError) -> [Info] {
        var infos: [Info] = []
        infos.reserveCapacity(count)
        var seen = NameSet(capacity: count)
        for _ in 0..<count {
            let name = try string(&reader, "a tensor's name")
            try reader.spend(infoMemory, "a tensor's name")
            func wrong(_ problem: String) -> CheckpointError {
                CheckpointError(
                    file: reader.path, tensor: name, byteOffset: reader.position, problem)
            }
            guard name.utf8.count <= maximumNameBytes else {
                throw wrong("has a name of \(name.utf8.count) bytes; at most \(maximumNameBytes) are allowed")
            }
            guard seen.insert(name) else { throw wrong("occurs twice") }
            let dimensions = try reader.integer(UInt32.self, "the number of dimensions")
            guard dimensions <= maximumDimensions else {
                throw wrong("has \(dimensions) dimensions; at most \(maximumDimensions) are allowed")
            }
            var sizes: [Int] = []
            for _ in 0..<dimensions {
                let raw = try reader.integer(UInt64.self, "a dimension")
                guard let size = Int(exactly: raw) else { throw wrong("has a dimension of \(raw.grouped)") }
                sizes.append(size)
            }
            let shape = Array(sizes.reversed())
            let type = try reader.integer(UInt32.self, "the type of a tensor")
            guard let dtype = DType(ggml: type) else { throw wrong("has the unknown type \(type)") }
            guard sizes.checkedProduct != nil, Tensor.byteCount(dtype: dtype, shape: shape) != nil else {
                throw wrong("of type \(dtype) cannot have the shape \(shape)")
            }
            let offset = try reader.integer(UInt64.self, "the offset of a tensor")
            infos.append(Info(name: name, dtype: dtype, shape: shape, byteOffset: offset))
        }
        return infos
    }

    /// Locates the tensors: each must start where the previous one ends, as llama.cpp requires, and be within the file.
    private static func locate(
        _ infos: [Info], start: Int, alignment: Int, file: any FileImage
    ) throws(CheckpointError) -> [Tensor] {
        guard infos.isEmpty || start <= file.byteCount else {
            throw CheckpointError(
                file: file.path,
                "the data would begin at byte \(start.grouped); the file has \(file.byteCount.grouped)",
                hint: "the file is incomplete; fetch it again")
        }
        var expected = 0
        var tensors: [Tensor] = []
        tensors.reserveCapacity(infos.count)
        for info in infos {
            guard info.byteOffset == UInt64(expected) else {
                throw CheckpointError(
                    file: file.path, tensor: info.name,
                    "is at offset \(info.byteOffset.grouped) of the data; expected \(expected.grouped)")
            }
            let byteCount = Tensor.byteCount(dtype: info.dtype, shape: info.shape) ?? 0
            let (byteOffset, overflow) = start.addingReportingOverflow(expected)
            // An empty tensor may start after padding that the file need not contain.
            let position = overflow ? Int.max : byteCount == 0 ? min(byteOffset, file.byteCount) : byteOffset
            let recipe = try file.recipe(position, byteCount, tensor: info.name)
            tensors.append(
                Tensor(name: info.name, dtype: info.dtype, shape: info.shape, recipe: recipe))
            let (padded, tooLong) = byteCount.aligned(to: alignment)
            let (sum, wrapped) = expected.addingReportingOverflow(padded)
            guard !tooLong, !wrapped else {
                throw CheckpointError(file: file.path, tensor: info.name, "is too large")
            }
            expected = sum
        }
        return tensors
    }
}

extension Int {
    /// The next multiple of a power of two, and whether it overflowed.
    package func aligned(to alignment: Int) -> (value: Int, overflow: Bool) {
        let (sum, overflow) = addingReportingOverflow(alignment - 1)
        return (sum & ~(alignment - 1), overflow)
    }
}
