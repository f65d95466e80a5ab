internal import Formats

/// The directory of a zip archive, read as strictly as torch.save writes it, so that it cannot be read in two ways.
///
/// Every record is stored, named once, and named alike in its own header and in the directory; records follow one
/// another from the first byte of the file to the directory, and the directory ends with the file.
struct ZipDirectory {
    /// A record: a file in the archive.
    struct Record {
        let name: String
        /// Where its own header begins.
        let headerOffset: Int
        let flags: UInt16
        let checksum: UInt32
        let byteCount: Int
        /// Where its bytes begin; known after its own header was read.
        var byteOffset = 0
    }

    static let localMagic: [UInt8] = [0x50, 0x4B, 0x03, 0x04]
    /// Bit 3 of the flags: the sizes stand behind the data. Bit 11: the name is UTF-8.
    private static let descriptorFlag: UInt16 = 1 << 3
    private static let knownFlags: UInt16 = descriptorFlag | 1 << 11
    /// More records than any checkpoint has storages.
    private static let maximumRecords = 1 << 18

    /// The records, in the order of the directory.
    let records: [Record]
    private let numbers: [ExactString: Int]

    /// Whether checksums were computed: PyTorch can leave them out, and writes 0.
    var hasChecksums: Bool { records.contains { $0.checksum != 0 } }

    /// The record of that name.
    subscript(_ name: String) -> Record? { numbers[ExactString(name)].map { records[$0] } }

    /// Reads and checks the directory of an archive.
    init(bytes: UnsafeRawBufferPointer, path: String) throws(CheckpointError) {
        var reader = ZipReader(bytes: bytes, path: path)
        let end = try reader.directoryEnd()
        guard end.count <= ZipDirectory.maximumRecords else {
            throw reader.error(
                "has \(end.count.grouped) records; at most \(ZipDirectory.maximumRecords.grouped) are read")
        }
        var records: [Record] = []
        var numbers: [ExactString: Int] = [:]
        var folded: Set<[UInt8]> = []
        reader.position = end.byteOffset
        for number in 0..<end.count {
            let record = try ZipDirectory.entry(&reader)
            guard numbers.updateValue(number, forKey: ExactString(record.name)) == nil,
                folded.insert(record.name.utf8.map { 65...90 ~= $0 ? $0 + 32 : $0 }).inserted
            else { throw reader.error("names the record '\(record.name)' twice, but for the case of its letters") }
            records.append(record)
        }
        guard reader.position == end.byteOffset + end.byteCount else {  // fits: it lies in the file
            throw reader.error("has a directory that does not end after its \(end.count.grouped) records")
        }
        try ZipDirectory.locate(&records, end: end.byteOffset, &reader)
        self.records = records
        self.numbers = numbers
    }

    /// One entry of the directory.
    private static func entry(_ reader: inout ZipReader) throws(CheckpointError) -> Record {
        guard try reader.u32() == 0x0201_4B50 else { throw reader.error("has a directory that is damaged") }
        try reader.skip(4)
        let flags = try reader.u16(), method = try reader.u16()
        try reader.skip(4)
        let checksum = try reader.u32()
        let sizes = (packed: try reader.u32(), plain: try reader.u32())
        let nameCount = Int(try reader.u16()), extraCount = Int(try reader.u16()), commentCount = Int(try reader.u16())
        let disk = try reader.u16()
        try reader.skip(6)
        let offset = try reader.u32()
        let name = try reader.name(nameCount)
        let extra = try reader.wideNumbers(extraCount, wanted: [sizes.plain, sizes.packed, offset])
        try reader.skip(commentCount)
        func wrong(_ problem: String) -> CheckpointError { reader.error("has the record '\(name)', which \(problem)") }
        guard flags & ~knownFlags == 0 else {
            throw wrong(flags & 0x2041 == 0 ? "has the flags 0x" + String(flags, radix: 16) : "is encrypted")
        }
        guard method == 0 else {
            // Its code is the one thing that PyTorch compresses.
            if name.containsBytes(of: "/code/") { throw ZippedPyTorch.isProgram(reader.path) }
            throw wrong("is compressed (method \(method)); PyTorch's records are not")
        }
        guard disk == 0 else { throw wrong("is on another disk") }
        guard extra[0] == extra[1] else {
            throw wrong("is stored in \(extra[1].grouped) bytes and has \(extra[0].grouped)")
        }
        guard let byteCount = Int(exactly: extra[0]), let headerOffset = Int(exactly: extra[2]) else {
            throw wrong("has a size or an offset beyond 63 bits")
        }
        return Record(name: name, headerOffset: headerOffset, flags: flags, checksum: checksum, byteCount: byteCount)
    }

    /// Checks the local headers of the records against the directory, without gaps or overlaps.
    private static func locate(
        _ records: inout [Record], end: Int, _ reader: inout ZipReader
    ) throws(CheckpointError) {
        var expected = 0
        for number in records.indices.sorted(by: { records[$0].headerOffset < records[$1].headerOffset }) {
            let record = records[number]
            guard record.headerOffset == expected else {
                throw CheckpointError(
                    file: reader.path,
                    "the record '\(record.name)' starts at byte \(record.headerOffset.grouped); "
                        + "\(expected.grouped) was expected")
            }
            reader.position = expected
            try localHeader(of: record, &reader)
            records[number].byteOffset = reader.position
            guard record.byteCount <= end - reader.position else {
                throw reader.error(
                    "has the record '\(record.name)' of \(record.byteCount.grouped) bytes; "
                        + "\(max(0, end - reader.position).grouped) are left")
            }
            try reader.skip(record.byteCount)
            if record.flags & descriptorFlag != 0 { try descriptor(of: record, &reader) }
            expected = reader.position
        }
        guard expected == end else {
            throw CheckpointError(
                file: reader.path,
                "the records end at byte \(expected.grouped), the archive's directory starts at \(end.grouped)")
        }
    }

    private static func localHeader(of record: Record, _ reader: inout ZipReader) throws(CheckpointError) {
        guard try reader.u32() == 0x0403_4B50 else {
            throw reader.error("has no header for the record '\(record.name)'")
        }
        try reader.skip(2)
        let flags = try reader.u16(), method = try reader.u16()
        try reader.skip(4)
        let checksum = try reader.u32()
        let sizes = (packed: try reader.u32(), plain: try reader.u32())
        let nameCount = Int(try reader.u16()), extraCount = Int(try reader.u16())
        let name = try reader.name(nameCount)
        let wide = try reader.wideNumbers(extraCount, wanted: [sizes.plain, sizes.packed])
        // With a descriptor the header may omit sizes; those that it states must be right.
        let isOpen = record.flags & descriptorFlag != 0 && checksum == 0 && wide.allSatisfy { $0 == 0 }
        let agrees = checksum == record.checksum && wide.allSatisfy { $0 == UInt64(record.byteCount) }
        guard flags == record.flags, method == 0, ExactString(name) == ExactString(record.name), isOpen || agrees else {
            throw reader.error("has a header of the record '\(record.name)' that does not agree with the directory")
        }
    }

    /// The checksum and the sizes behind the data, in 32 or 64 bits.
    private static func descriptor(of record: Record, _ reader: inout ZipReader) throws(CheckpointError) {
        let start = reader.position
        let wrong = reader.error(
            "has a descriptor of the record '\(record.name)' that does not agree with the directory")
        guard try reader.u32() == 0x0807_4B50, try reader.u32() == record.checksum else { throw wrong }
        let size = UInt64(record.byteCount)
        if try UInt64(reader.u32()) == size, try UInt64(reader.u32()) == size { return }
        reader.position = start + 8
        guard try reader.u64() == size, try reader.u64() == size else { throw wrong }
    }
}
