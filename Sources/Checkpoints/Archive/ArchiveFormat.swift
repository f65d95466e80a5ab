internal import Formats

// A resect archive (x.resect): the files of a checkpoint, byte for byte, with the tensors' bytes separated into planes
// and compressed in pieces. All numbers are little-endian. A varint has 7 bits per byte, the lowest first; the highest
// bit of a byte is set when another follows. A string is a varint, its length, and that many bytes of UTF-8.
//
//     head      89 52 53 43 54 0D 0A 1A   u32 version   u32 0
//     pieces    one after another, without gaps, in the order of the index
//     index     see below
//     trailer   64 bytes: u64 where the index begins, u64 its bytes, 16 bytes XXH3-128 of the index, u64 bytes of the
//               archive, u32 version, u32 0, u64 XXH3-64 of the 48 bytes before, 8 bytes as at the head
//
//     index     u8 kind: 0 one file, 1 a folder, 2 the shards of a split file;   string: its name
//               varint layouts;  each: varint fields;  each field: u8 unit, u8 turn, varint bytes
//               u8 is a patch;  if 1: 16 bytes, the total that 'resect hash' prints of the base, varint tensors;
//                               each: string name, varint bytes, 16 bytes XXH3-128
//               varint files;   each: string name, varint bytes, varint spans;
//                               each span: varint bytes, varint layout, varint use of the base
//               pieces of all spans: u64 XXH3-64 of its bytes as they were, and for each plane
//                               varint 2 * stored bytes + (1 if it is a zstd frame, 0 if it is stored as it is)
//
// The spans of a file cover it. Layout 0 is for bytes outside tensors: headers, gaps, companions; layout n + 1 is the
// nth of the list. The name of a file in a sub-folder is its path in the folder. The use of the base is 0 for none,
// 2n + 1 when the span equals its tensor n, and 2n + 2 when the exclusive or with that tensor is stored. A span that
// equals a tensor of the base has no pieces.
//
// A piece is as many whole blocks of a span as fit 1 MiB. A layout lists the fields of a block; their elements have 1,
// 2, 4 or 8 bytes. The bits of an element are rotated left by 0 or 1 (by 1, a float's exponent is a whole byte), and
// byte k of all elements of a field forms a plane. The planes of the first field come first, low bytes first.

/// The constants of the format.
enum ArchiveFormat {
    static let magic: [UInt8] = [0x89, 0x52, 0x53, 0x43, 0x54, 0x0D, 0x0A, 0x1A]
    static let version: UInt32 = 1
    static let headByteCount = 16
    static let trailerByteCount = 64
    /// The maximum size of an unpacked piece in bytes.
    static let pieceByteCount = 1 << 20
    /// The bytes unpacked into memory (headers, small files) may exceed the archive's size by this much.
    static let memoryAllowance = 64 << 20
    static let maximumNameBytes = 255
    /// The maximum number of components in a path.
    static let maximumDepth = 8
    /// Limits far above any real model, so that parsing takes memory in proportion to the file.
    static let maximumSpans = 1 << 19
    static let maximumFiles = 1 << 16
    static let maximumLayouts = 1 << 8
    /// The fewest bytes of a zstd frame.
    static let frameByteCount = 9

    /// The first bytes of an archive.
    static var head: [UInt8] { magic + littleEndianBytes(version) + [0, 0, 0, 0] }

    /// Whether a name can be that of a file in a folder or its sub-folders, `1_Pooling/config.json`, and of nothing
    /// outside.
    static func isRelativePath(_ name: String) -> Bool {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count <= maximumDepth && parts.allSatisfy { isFileName(String($0)) }
    }

    /// Whether a name can be that of a file in a folder, and of nothing outside it.
    static func isFileName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && name.utf8.count <= maximumNameBytes
            && !name.utf8.contains(0) && !name.utf8.contains(UInt8(ascii: "/"))
    }
}

/// The bytes of a number, least significant first.
func littleEndianBytes(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
}
