package import Checkpoints
package import Kernels

/// Rows of f32 values in memory.
struct MemoryRows: ValueRows {
    let memory: Scratch
    let columns: Int

    var description: String { "values in memory" }

    /// A hash of the current values, because the default fingerprint does not see into memory.
    var fingerprint: String {
        let bytes = UnsafeRawBufferPointer(start: memory.base, count: memory.byteCount)
        let hash = bytes.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
        return "MemoryRows(\(columns) columns, \(memory.byteCount) bytes, \(hash))"
    }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let rowByteCount = columns * MemoryLayout<Float>.size
        output.copyMemory(
            from: UnsafeRawBufferPointer(
                start: memory.base + rows.lowerBound * rowByteCount, count: rows.count * rowByteCount))
    }

    func writeValues(
        rows: Range<Int>, columns part: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        for (index, row) in rows.enumerated() {
            (output + index * part.count).update(
                from: memory.floats + row * columns + part.lowerBound, count: part.count)
        }
        return true
    }
}

extension Tensor {
    /// A matrix of f32 values in memory, which may change between uses.
    package init(name: String, rows: Int, columns: Int, values: Scratch) {
        precondition(values.byteCount >= rows * columns * MemoryLayout<Float>.size, "\(name): too little memory")
        self.init(
            name: name, dtype: .f32, shape: [rows, columns],
            recipe: .computed(MemoryRows(memory: values, columns: columns)))
    }
}
