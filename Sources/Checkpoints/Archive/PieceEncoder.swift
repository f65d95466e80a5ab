internal import CStorage
internal import CZstd

/// Packs one piece: separates its bytes into planes, and compresses each plane where that saves space.
enum PieceEncoder {
    /// What a plane is, and so how it is compressed.
    enum Kind {
        /// Bytes of a tensor.
        case weights
        /// Headers and texts.
        case text
    }

    /// A plane whose bytes are worth this many bits is stored as it is: exponents are worth 3, mantissas 8.
    private static let incompressible = 7.9
    /// Above this size one byte in sixteen is sampled.
    private static let sampleStep: Int64 = 1024
    /// The number of bytes in the middle of a plane that are searched for repetitions.
    private static let trialByteCount = 8192

    /// A negative level at which zstd finds no repetitions and only the fast entropy coder remains.
    private static let entropyLevel: Int32 = -100_000
    private static let matchingLevel: Int32 = 1
    private static let textLevel: Int32 = 3

    /// Packs a piece into `workspace.stored`.
    ///
    /// - Parameter difference: bytes of the base, whose exclusive or with the piece is stored.
    /// - Returns: how each plane is stored.
    static func encode(
        _ raw: UnsafeRawBufferPointer, as kind: Kind, layout: PlaneLayout,
        difference: UnsafeRawBufferPointer? = nil, _ workspace: PieceWorkspace
    ) -> [ArchiveIndex.Plane] {
        var source = raw
        if let difference {
            workspace.whole.copyMemory(from: raw)
            exclusiveOr(workspace.whole, difference)
            source = UnsafeRawBufferPointer(rebasing: workspace.whole[..<raw.count])
        }
        if layout.planeCount > 1 {
            layout.split(source, into: workspace.planes)
            source = UnsafeRawBufferPointer(rebasing: workspace.planes[..<raw.count])
        }
        var (start, end) = (0, 0)
        return layout.planeByteCounts(of: raw.count).map { size in
            let plane = UnsafeRawBufferPointer(rebasing: source[start..<start + size])
            let target = UnsafeMutableRawBufferPointer(rebasing: workspace.stored[end..<end + size])
            let stored = level(for: plane, kind, workspace).flatMap {
                compress(plane, into: target, level: $0, workspace)
            }
            if stored == nil { target.copyMemory(from: plane) }
            start += size
            end += stored ?? size
            return ArchiveIndex.Plane(byteCount: stored ?? size, isCompressed: stored != nil)
        }
    }

    /// The level for a plane; `nil` when compressing it would gain nothing.
    private static func level(
        for plane: UnsafeRawBufferPointer, _ kind: Kind, _ workspace: PieceWorkspace
    ) -> Int32? {
        guard kind == .weights else { return textLevel }
        guard plane.count > trialByteCount, let base = plane.bindMemory(to: UInt8.self).baseAddress else {
            return matchingLevel
        }
        if resect_byte_entropy(base, Int64(plane.count), sampleStep) >= incompressible { return nil }
        let middle = (plane.count - trialByteCount) / 2
        let sample = UnsafeRawBufferPointer(rebasing: plane[middle..<middle + trialByteCount])
        func size(_ level: Int32) -> Int {
            compress(sample, into: workspace.whole, level: level, workspace) ?? trialByteCount
        }
        return size(matchingLevel) * 100 < size(entropyLevel) * 95 ? matchingLevel : entropyLevel
    }

    /// Compresses into less than the bytes had before; `nil` when that is not possible.
    private static func compress(
        _ bytes: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer, level: Int32,
        _ workspace: PieceWorkspace
    ) -> Int? {
        ZSTD_CCtx_setParameter(workspace.compressor, ZSTD_c_compressionLevel, level)
        // ZSTD_c_literalCompressionMode, enabled: at low levels literals would be stored. An older library may refuse.
        ZSTD_CCtx_setParameter(workspace.compressor, ZSTD_c_experimentalParam5, 1)
        let count = ZSTD_compress2(
            workspace.compressor, target.baseAddress, bytes.count - 1, bytes.baseAddress, bytes.count)
        return ZSTD_isError(count) == 0 && count > 0 && count < bytes.count ? count : nil
    }
}

/// In-place exclusive or with the bytes of the base, from the start of `target`.
func exclusiveOr(_ target: UnsafeMutableRawBufferPointer, _ other: UnsafeRawBufferPointer) {
    precondition(target.count >= other.count)
    guard let a = target.bindMemory(to: UInt8.self).baseAddress, let b = other.bindMemory(to: UInt8.self).baseAddress
    else { return }
    resect_xor(a, b, Int64(other.count))
}
