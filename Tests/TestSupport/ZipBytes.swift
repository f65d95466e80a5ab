/// A zip archive, byte by byte, as torch.save writes it or as wrong as a test wants it.
public struct ZipBytes: Sendable {
    /// A record. What is claimed about it in the directory, and in its own header, can be set apart from what it is.
    public struct Record: Sendable {
        /// Its name in the directory.
        public var name: String
        /// Its bytes.
        public var data: [UInt8]
        /// Its name in its own header; `nil` for the same.
        public var localName: String?
        /// The flags in the directory; 8 puts the sizes behind the data.
        public var flags: UInt16 = 0x808
        /// The flags in its own header; `nil` for the same.
        public var localFlags: UInt16?
        /// The method of compression.
        public var method: UInt16 = 0
        /// The checksum; `nil` for the true one.
        public var checksum: UInt32?
        /// The sizes that the directory has; `nil` for the true ones.
        public var sizes: (packed: UInt32, plain: UInt32)?
        /// The size in its own header, when the flags leave it there; `nil` for the true one.
        public var localSize: UInt32?
        /// The place that the directory has; `nil` for the true one.
        public var offset: UInt32?
        /// The extra field of the directory.
        public var extra: [UInt8] = []
        /// The extra field of its own header.
        public var localExtra: [UInt8] = []
        /// The bytes behind the data; `nil` for the descriptor that the flags ask for.
        public var descriptor: [UInt8]?
        /// The number of the disk.
        public var disk: UInt16 = 0

        /// A right record.
        public init(_ name: String, _ data: [UInt8]) {
            self.name = name
            self.data = data
        }
    }

    /// The records.
    public var records: [Record]
    /// Bytes before the first record.
    public var prefix: [UInt8] = []
    /// Bytes between the records and the directory.
    public var gap: [UInt8] = []
    /// The number of records that the end claims; `nil` for the true one.
    public var claimedCount: UInt16?
    /// Whether there is a 64-bit end too.
    public var isWide = true
    /// The comment.
    public var comment: [UInt8] = []

    /// An archive.
    public init(_ records: [Record]) { self.records = records }

    /// An archive as PyTorch has it: a pickle and storages.
    public init(pickle: [UInt8], storages: [(key: String, data: [UInt8])]) {
        self.init(
            [Record("a/data.pkl", pickle)] + storages.map { Record("a/data/\($0.key)", $0.data) }
                + [Record("a/version", Array("3\n".utf8))])
    }

    /// The whole file.
    public var bytes: [UInt8] {
        var bytes = prefix
        var directory: [UInt8] = []
        for record in records {
            let offset = record.offset ?? UInt32(bytes.count)
            bytes += record.local
            directory += record.entry(offset: offset)
        }
        bytes += gap
        return bytes + directory + end(offset: bytes.count, size: directory.count)
    }

    private func end(offset: Int, size: Int) -> [UInt8] {
        let count = claimedCount ?? UInt16(records.count)
        var end: [UInt8] = []
        if isWide {
            end += [0x50, 0x4B, 6, 6, 44, 0, 0, 0, 0, 0, 0, 0, 30, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]
            for number in [Int(count), Int(count), size, offset] { end += littleEndian(number) }
            end += [0x50, 0x4B, 6, 7, 0, 0, 0, 0]
            end += littleEndian(offset + size)
            end += [1, 0, 0, 0]
        }
        end += [0x50, 0x4B, 5, 6, 0, 0, 0, 0]
        for number in [count, count] { end += littleEndian(number) }
        for number in [UInt32(size), UInt32(offset)] { end += littleEndian(number) }
        end += littleEndian(UInt16(comment.count))
        return end + comment
    }

    /// CRC-32, a bit at a time.
    public static func checksum(_ data: [UInt8]) -> UInt32 {
        var value = UInt32.max
        for byte in data {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 0 ? value >> 1 : (value >> 1) ^ 0xEDB8_8320 }
        }
        return ~value
    }
}

extension ZipBytes.Record {
    /// What the header and the directory say alike: the checksum and two sizes.
    private func sizes(_ checksum: UInt32, _ packed: UInt32, _ plain: UInt32) -> [UInt8] {
        [checksum, packed, plain].flatMap { littleEndian($0) }
    }

    private var trueChecksum: UInt32 { checksum ?? ZipBytes.checksum(data) }

    /// The record with its own header.
    fileprivate var local: [UInt8] {
        let name = Array((localName ?? name).utf8), size = UInt32(data.count), isOpen = flags & 8 != 0
        var bytes: [UInt8] = [0x50, 0x4B, 3, 4, 0, 0]
        for number in [localFlags ?? flags, method, 0, 0] { bytes += littleEndian(number) }
        let claimed = localSize ?? (isOpen ? 0 : size)
        bytes += sizes(isOpen ? 0 : trueChecksum, claimed, claimed)
        for number in [UInt16(name.count), UInt16(localExtra.count)] { bytes += littleEndian(number) }
        bytes += name
        bytes += localExtra
        bytes += data
        let behind = [0x50, 0x4B, 7, 8] + sizes(trueChecksum, size, size)
        return bytes + (descriptor ?? (isOpen ? behind : []))
    }

    /// The record's entry in the directory.
    fileprivate func entry(offset: UInt32) -> [UInt8] {
        let name = Array(name.utf8), size = UInt32(data.count)
        var bytes: [UInt8] = [0x50, 0x4B, 1, 2, 0, 0, 0, 0]
        for number in [flags, method, 0, 0] { bytes += littleEndian(number) }
        bytes += sizes(trueChecksum, self.sizes?.packed ?? size, self.sizes?.plain ?? size)
        for number in [UInt16(name.count), UInt16(extra.count), 0, disk, 0, 0, 0] { bytes += littleEndian(number) }
        bytes += littleEndian(offset)
        bytes += name
        return bytes + extra
    }
}
