/// Archives with lies that no checksum finds.
package enum ArchiveRepair {
    /// The bytes with the sizes and hashes of the trailer made right: a fuzzer then reaches what is behind them.
    package static func repaired(_ bytes: [UInt8]) -> [UInt8] {
        let start = bytes.count - ArchiveFormat.trailerByteCount
        guard start >= ArchiveFormat.headByteCount else { return bytes }
        let stated = bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: start, as: UInt64.self) }
        let place = Int(exactly: UInt64(littleEndian: stated)) ?? start
        let offset = min(max(place, ArchiveFormat.headByteCount), start)
        let index = Array(bytes[offset..<start])
        var trailer = [offset, index.count].flatMap { littleEndianBytes(Int64($0)) }  // fits: as wide
        trailer += Digest(of: index).bytes + littleEndianBytes(UInt64(bytes.count))
        trailer += littleEndianBytes(ArchiveFormat.version) + [0, 0, 0, 0]
        trailer += littleEndianBytes(trailer.withUnsafeBytes { Digest.short(of: $0) }) + ArchiveFormat.magic
        return ArchiveFormat.head + bytes[ArchiveFormat.headByteCount..<start] + trailer
    }
}
