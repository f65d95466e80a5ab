internal import CZstd

/// Unpacking of one piece.
enum PieceDecoder {
    /// Puts a piece together.
    ///
    /// - Parameters:
    ///   - stored: the bytes in the archive.
    ///   - output: has the size of the piece.
    /// - Returns: whether every plane could be unpacked; the caller checks the hash.
    static func decode(
        _ stored: UnsafeRawBufferPointer, planes: ArraySlice<ArchiveIndex.Plane>, layout: PlaneLayout,
        into output: UnsafeMutableRawBufferPointer, _ workspace: PieceWorkspace
    ) -> Bool {
        let sizes = layout.planeByteCounts(of: output.count)
        if sizes.count == 1, let plane = planes.first, layout.fields[0].unit == 1 {
            return unpack(stored, plane, into: output, workspace)
        }
        var pointers: [UnsafePointer<UInt8>?] = []
        var (index, start) = (0, 0)
        for (plane, size) in zip(planes, sizes) {
            let bytes = UnsafeRawBufferPointer(rebasing: stored[index..<index + plane.byteCount])
            index += plane.byteCount
            if plane.isCompressed {
                let target = UnsafeMutableRawBufferPointer(rebasing: workspace.planes[start..<start + size])
                guard unpack(bytes, plane, into: target, workspace) else { return false }
                pointers.append(UnsafeRawBufferPointer(target).bindMemory(to: UInt8.self).baseAddress)
                start += size
            } else {
                // Straight from the map.
                pointers.append(bytes.bindMemory(to: UInt8.self).baseAddress)
            }
        }
        layout.merge(pointers, into: output)
        return true
    }

    private static func unpack(
        _ bytes: UnsafeRawBufferPointer, _ plane: ArchiveIndex.Plane, into output: UnsafeMutableRawBufferPointer,
        _ workspace: PieceWorkspace
    ) -> Bool {
        guard plane.isCompressed else {
            output.copyMemory(from: bytes)
            return true
        }
        return ZSTD_decompressDCtx(
            workspace.decompressor, output.baseAddress, output.count, bytes.baseAddress, bytes.count) == output.count
    }
}
