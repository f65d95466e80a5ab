extension ArchiveIndex {
    /// The bytes of the index.
    var bytes: [UInt8] {
        var bytes: [UInt8] = [kind.rawValue]
        bytes.append(string: name)
        bytes.append(varint: layouts.count)
        for layout in layouts {
            bytes.append(varint: layout.fields.count)
            for field in layout.fields {
                bytes += [UInt8(field.unit), UInt8(field.turn)]
                bytes.append(varint: field.byteCount)
            }
        }
        bytes.append(base == nil ? 0 : 1)
        if let base {
            bytes += base.digest.bytes
            bytes.append(varint: base.tensors.count)
            for tensor in base.tensors {
                bytes.append(string: tensor.name)
                bytes.append(varint: tensor.byteCount)
                bytes += tensor.digest.bytes
            }
        }
        bytes.append(varint: files.count)
        for file in files {
            bytes.append(string: file.name)
            bytes.append(varint: file.byteCount)
            bytes.append(varint: file.spans.count)
            for span in spans[file.spans] {
                bytes.append(varint: span.byteCount)
                bytes.append(varint: span.layout)
                switch span.base {
                case .none: bytes.append(varint: 0)
                case .same(let tensor): bytes.append(varint: 2 * tensor + 1)
                case .difference(let tensor): bytes.append(varint: 2 * tensor + 2)
                }
            }
        }
        for span in spans {
            let count = layout(of: span).planeCount
            for piece in 0..<pieceCount(of: span) {
                bytes += littleEndianBytes(pieceHashes[span.firstPiece + piece])
                for plane in planes[(span.firstPlane + piece * count)...].prefix(count) {
                    bytes.append(varint: Int(plane.code))
                }
            }
        }
        return bytes
    }

    /// The trailer of an archive whose index begins at an offset.
    static func trailer(index: [UInt8], at byteOffset: Int) -> [UInt8] {
        var bytes = littleEndianBytes(UInt64(byteOffset)) + littleEndianBytes(UInt64(index.count))
        bytes += Digest(of: index).bytes
        bytes += littleEndianBytes(UInt64(byteOffset + index.count + ArchiveFormat.trailerByteCount))
        bytes += littleEndianBytes(ArchiveFormat.version) + [0, 0, 0, 0]
        bytes += littleEndianBytes(bytes.withUnsafeBytes { Digest.short(of: $0) })
        return bytes + ArchiveFormat.magic
    }
}

extension [UInt8] {
    /// Appends a varint.
    fileprivate mutating func append(varint value: Int) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(rest & 0x7F | 0x80))
            rest >>= 7
        }
        append(UInt8(rest))
    }

    /// Appends a text with its length before it.
    fileprivate mutating func append(string text: String) {
        append(varint: text.utf8.count)
        self += Array(text.utf8)
    }
}
