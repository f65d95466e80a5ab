/// A block of memory, aligned for vectors, freed with its owner.
package final class Scratch: Sendable {
    /// The start.
    package nonisolated(unsafe) let base: UnsafeMutableRawPointer
    /// How many bytes may be used.
    package let byteCount: Int

    /// Allocates memory with some room after its end, because products read up to a panel beyond a row. It is not zeroed.
    package init(byteCount: Int) {
        self.byteCount = byteCount
        base = .allocate(byteCount: byteCount + 64 * RowPanel.width, alignment: 64)
    }

    /// Room for floats.
    package convenience init(floats: Int) { self.init(byteCount: floats * MemoryLayout<Float>.size) }

    deinit { base.deallocate() }

    /// The memory as floats.
    package var floats: UnsafeMutablePointer<Float> { base.assumingMemoryBound(to: Float.self) }
    /// The memory as words of four bytes.
    package var words: UnsafeMutablePointer<UInt32> { base.assumingMemoryBound(to: UInt32.self) }
    /// The memory as words of two bytes.
    package var halves: UnsafeMutablePointer<UInt16> { base.assumingMemoryBound(to: UInt16.self) }
}
