internal import CZstd
internal import Synchronization

/// The buffers in which a thread packs or unpacks pieces, without an allocation for each piece.
///
/// One thread uses it at a time: threads take it from a pool and return it.
final class PieceWorkspace: @unchecked Sendable {
    let compressor: OpaquePointer
    let decompressor: OpaquePointer
    /// A piece as it was, or its exclusive or.
    let whole = PieceWorkspace.buffer()
    /// Its planes, one after another.
    let planes = PieceWorkspace.buffer()
    /// What is stored.
    let stored = PieceWorkspace.buffer()

    /// The buffers, which take memory as they are used, and zstd's contexts.
    init() {
        guard let compressor = ZSTD_createCCtx(), let decompressor = ZSTD_createDCtx() else {
            preconditionFailure("no memory for zstd")
        }
        self.compressor = compressor
        self.decompressor = decompressor
    }

    deinit {
        ZSTD_freeCCtx(compressor)
        ZSTD_freeDCtx(decompressor)
        for buffer in [whole, planes, stored] { buffer.deallocate() }
    }

    private static func buffer() -> UnsafeMutableRawBufferPointer {
        .allocate(byteCount: ArchiveFormat.pieceByteCount, alignment: 64)
    }
}

/// A pool of objects for threads.
final class Pool<Item: Sendable>: Sendable {
    private let free = Mutex<[Item]>([])
    private let make: @Sendable () -> Item

    /// An empty pool.
    init(_ make: @escaping @Sendable () -> Item) { self.make = make }

    /// An object for exclusive use.
    func take() -> Item { free.withLock { $0.popLast() } ?? make() }

    /// Returns an object.
    func put(_ item: Item) { free.withLock { $0.append(item) } }
}
