internal import Synchronization

/// The most recently unpacked pieces: rows are requested a few at a time, often by several threads from one piece.
final class PieceCache: Sendable {
    /// One piece. The thread that fills it holds the lock, so that it is unpacked once.
    private final class Slot: Sendable {
        let state = Mutex<(piece: Int, bytes: [UInt8])>((-1, []))
    }

    private let slots = (0..<16).map { _ in Slot() }

    /// Copies a part of a piece, which `unpack` makes when it is not there.
    func read(
        _ piece: Int, byteCount: Int, from start: Int, into output: UnsafeMutableRawBufferPointer,
        unpack: (UnsafeMutableRawBufferPointer) throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        try slots[piece % slots.count].state.withLock { (state) throws(CheckpointError) in
            if state.piece != piece {
                state.piece = -1
                if state.bytes.count != byteCount { state.bytes = [UInt8](repeating: 0, count: byteCount) }
                let outcome = state.bytes.withUnsafeMutableBytes { bytes in
                    Result { () throws(CheckpointError) in try unpack(bytes) }
                }
                try outcome.get()
                state.piece = piece
            }
            state.bytes.withUnsafeBytes { bytes in
                output.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + output.count]))
            }
        }
    }
}
