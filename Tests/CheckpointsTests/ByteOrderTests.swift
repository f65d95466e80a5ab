import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("big-endian GGUF")
struct ByteOrderTests {
    /// A file in the making whose numbers have their most significant byte first.
    private struct BigEndianFile {
        var bytes: [UInt8] = Array("GGUF".utf8)

        mutating func add(_ value: some FixedWidthInteger) { bytes += littleEndian(value.byteSwapped) }

        mutating func add(_ text: String) {
            add(UInt64(text.utf8.count))
            bytes += Array(text.utf8)
        }
    }

    /// One block of every kind of layout: its bytes as a big-endian machine stores them, and as a little-endian one does.
    private static let tensors: [(type: String, big: [UInt8], little: [UInt8])] = {
        let run = (0..<200).map { UInt8($0) }
        return [
            ("F32", [0x3F, 0x80, 0, 0], [0, 0, 0x80, 0x3F]), ("BF16", [1, 2], [2, 1]), ("I8", [7], [7]),
            ("F64", Array(0..<8), Array((0..<8).reversed())),
            ("Q8_0", [1, 2] + run[..<32], [2, 1] + run[..<32]),
            ("Q4_1", [1, 2, 3, 4] + run[..<16], [2, 1, 4, 3] + run[..<16]),
            ("Q5_0", [1, 2, 3, 4, 5, 6] + run[..<16], [2, 1, 6, 5, 4, 3] + run[..<16]),
            ("Q6_K", Array(repeating: 9, count: 208) + [1, 2], Array(repeating: 9, count: 208) + [2, 1]),
            ("IQ4_XS", [1, 2, 3, 4] + run[..<132], [2, 1, 4, 3] + run[..<132]),
            ("MXFP4", Array(run[..<17]), Array(run[..<17])),
        ]
    }()

    private static func file(version: UInt32 = 3) throws -> [UInt8] {
        var file = BigEndianFile()
        file.add(version)
        file.add(UInt64(tensors.count))
        file.add(UInt64(3))
        file.add("general.architecture")
        file.add(UInt32(8))
        file.add("none")
        file.add("k.f32")
        file.add(UInt32(6))
        file.add(Float(1.5).bitPattern)
        file.add("k.list")
        file.add(UInt32(9))
        file.add(UInt32(3))
        file.add(UInt64(2))
        for value: Int16 in [-2, 300] { file.add(value) }
        var offset = 0
        for tensor in tensors {
            let dtype = try #require(DType(named: tensor.type))
            file.add(tensor.type)
            file.add(UInt32(1))
            file.add(UInt64(dtype.blockCount))
            file.add(try #require(dtype.ggml))
            file.add(UInt64(offset))
            offset += (tensor.big.count + 31) / 32 * 32
        }
        for part in [[]] + tensors.map(\.big) {
            file.bytes += part
            file.bytes += Array(repeating: 0, count: (32 - file.bytes.count % 32) % 32)
        }
        return file.bytes
    }

    @Test("metadata and the numbers of every block are turned round", arguments: [2, 3] as [UInt32])
    func reading(version: UInt32) throws {
        let folder = TemporaryFolder()
        let checkpoint = try Checkpoint.open(folder.write("big.gguf", try ByteOrderTests.file(version: version)))
        #expect(checkpoint.metadata["k.f32"] == .f32(1.5))
        #expect(checkpoint.metadata["k.list"] == .array(elementType: 3, [.i16(-2), .i16(300)]))
        #expect(checkpoint.tensors.map(\.name) == ByteOrderTests.tensors.map(\.type))
        #expect(try Contents(checkpoint).bytes == ByteOrderTests.tensors.map(\.little))
        // Written it is little-endian, and reads back the same.
        try CheckpointWriter(threads: 2).write(OutputPlan(checkpoint), to: folder("little.gguf"))
        let again = try Checkpoint.open(folder("little.gguf"))
        #expect(try Contents(again) == Contents(checkpoint))
        #expect(again.metadata == checkpoint.metadata)
        #expect(again.tensors.allSatisfy { $0.recipe.mappedRange != nil })
    }

    @Test("a file that is cut anywhere in its header is refused")
    func truncation() throws {
        let folder = TemporaryFolder()
        let bytes = try ByteOrderTests.file()
        for count in 0..<600 {
            let path = folder.write("cut.gguf", Array(bytes[..<count]))
            #expect(throws: CheckpointError.self, "\(count) bytes") { try Checkpoint.open(path) }
        }
    }

    @Test("the numbers of a block lie in it, beside each other", arguments: DType.all)
    func fields(dtype: DType) {
        var end = 0
        for field in dtype.numbers {
            #expect(field.byteOffset >= end && field.count > 0 && [2, 4, 8].contains(field.width))
            end = field.byteOffset + field.width * field.count
        }
        #expect(end <= dtype.blockByteCount)
        // Scales of blocks are numbers of 16 bits, but for those of a byte.
        let hasByteScale = ["MXFP4", "NVFP4"].contains(dtype.name)
        if dtype.isQuantized { #expect(dtype.numbers.isEmpty == hasByteScale, "\(dtype)") }
    }
}
