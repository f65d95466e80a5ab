internal import CXXHash

/// Archives with lies that no checksum finds.
public enum ArchiveRepair {
    private static let magic: [UInt8] = [0x89, 0x52, 0x53, 0x43, 0x54, 0x0D, 0x0A, 0x1A]
    private static let version: UInt32 = 1
    private static let headByteCount = 16
    private static let trailerByteCount = 64

    /// The bytes with the sizes and hashes of the trailer made right: a fuzzer then reaches what is behind them.
    public static func repaired(_ bytes: [UInt8]) -> [UInt8] {
        let start = bytes.count - trailerByteCount
        guard start >= headByteCount else { return bytes }
        let stated = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start, as: UInt64.self) }
        let position = Int(exactly: UInt64(littleEndian: stated)) ?? start
        let offset = min(max(position, headByteCount), start)
        let index = Array(bytes[offset..<start])
        var trailer = [offset, index.count].flatMap { littleEndian($0) }
        let hash = index.withUnsafeBytes { XXH3_128bits($0.baseAddress, $0.count) }
        for half in [hash.high64, hash.low64] { trailer += littleEndian(half.byteSwapped) }
        trailer += littleEndian(bytes.count) + littleEndian(version) + [0, 0, 0, 0]
        trailer += littleEndian(trailer.withUnsafeBytes { XXH3_64bits($0.baseAddress, $0.count) }) + magic
        let head = magic + littleEndian(version) + [0, 0, 0, 0]
        return head + bytes[headByteCount..<start] + trailer
    }
}
