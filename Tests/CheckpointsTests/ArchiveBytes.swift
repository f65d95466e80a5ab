import Checkpoints
import TestSupport

/// An archive, byte by byte, as right or as wrong as a test wants it.
struct ArchiveBytes {
    /// A span with its pieces as they are stored.
    struct Span {
        var byteCount: UInt64
        var layout: UInt64 = 0
        var use: UInt64 = 0
        /// Each piece: its hash, and the code of each plane.
        var pieces: [(hash: UInt64, planes: [UInt64])] = []
    }

    struct File {
        var name: [UInt8]
        var byteCount: UInt64
        var spans: [Span]
        var claimedSpans: UInt64?
    }

    var kind: UInt8 = 0
    var name = Array("model.safetensors".utf8)
    /// Each layout: unit, turn and bytes of its fields.
    var layouts: [[(unit: UInt8, turn: UInt8, byteCount: UInt64)]] = []
    var patch: [UInt8] = [0]
    var files: [File]
    var claimedFiles: UInt64?
    var claimedLayouts: UInt64?
    var pieces: [UInt8]
    var behindIndex: [UInt8] = []
    var version: UInt32 = 1
    var claimedOffset: UInt64?
    var claimedCount: UInt64?
    var claimedTotal: UInt64?

    static let magic: [UInt8] = [0x89, 0x52, 0x53, 0x43, 0x54, 0x0D, 0x0A, 0x1A]

    /// A right archive of one small file, stored as it is.
    static func small(_ contents: [UInt8], name: String = "model.safetensors") -> ArchiveBytes {
        let count = UInt64(contents.count)
        let span = Span(byteCount: count, pieces: [(hash(contents), [2 * count])])
        return ArchiveBytes(
            name: Array(name.utf8), files: [File(name: Array(name.utf8), byteCount: count, spans: [span])],
            pieces: contents)
    }

    static func hash(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { Digest.short(of: $0) } }

    static func varint(_ value: UInt64) -> [UInt8] {
        var (bytes, rest) = ([UInt8](), value)
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F | 0x80))
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    static func text(_ value: [UInt8]) -> [UInt8] { varint(UInt64(value.count)) + value }

    var index: [UInt8] {
        var bytes = [kind] + ArchiveBytes.text(name)
        bytes += ArchiveBytes.varint(claimedLayouts ?? UInt64(layouts.count))
        for fields in layouts {
            bytes += ArchiveBytes.varint(UInt64(fields.count))
            for field in fields { bytes += [field.unit, field.turn] + ArchiveBytes.varint(field.byteCount) }
        }
        bytes += patch + ArchiveBytes.varint(claimedFiles ?? UInt64(files.count))
        for file in files {
            bytes += ArchiveBytes.text(file.name) + ArchiveBytes.varint(file.byteCount)
            bytes += ArchiveBytes.varint(file.claimedSpans ?? UInt64(file.spans.count))
            for span in file.spans {
                for value in [span.byteCount, span.layout, span.use] { bytes += ArchiveBytes.varint(value) }
            }
        }
        for piece in files.flatMap({ $0.spans.flatMap(\.pieces) }) {
            bytes += littleEndian(piece.hash) + piece.planes.flatMap { ArchiveBytes.varint($0) }
        }
        return bytes + behindIndex
    }

    var bytes: [UInt8] {
        let index = index
        let head = ArchiveBytes.magic + littleEndian(version) + [0, 0, 0, 0]
        let offset = head.count + pieces.count
        var trailer = littleEndian(claimedOffset ?? UInt64(offset)) + littleEndian(claimedCount ?? UInt64(index.count))
        trailer += Digest(of: index).bytes + littleEndian(claimedTotal ?? UInt64(offset + index.count + 64))
        trailer += littleEndian(UInt32(1)) + [0, 0, 0, 0]
        trailer += littleEndian(ArchiveBytes.hash(trailer)) + ArchiveBytes.magic
        return head + pieces + index + trailer
    }
}
