internal import Formats

/// The rows of a big-endian file in little-endian order: the bytes of every number in a block are swapped.
struct ByteSwappedRows: RowSource {
    /// The tensor as stored.
    let source: Tensor

    var description: String { "bytes swapped of \(source.recipe)" }

    /// Writes the bytes of some rows, swapped.
    func write(
        rows: Range<Int>, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        try source.withBytes(rows: rows) { bytes in
            output.copyMemory(from: bytes)
            let size = source.dtype.blockByteCount
            for field in source.dtype.numbers {
                for block in stride(from: 0, to: bytes.count, by: size) {
                    for number in 0..<field.count {
                        let start = block + field.byteOffset + number * field.width  // fits: a position in a block
                        output[start..<start + field.width].reverse()
                    }
                }
            }
        }
    }
}

extension Tensor {
    /// A tensor of a big-endian file with swapped bytes; unchanged when its elements are bytes.
    func byteSwapped() -> Tensor {
        if dtype.numbers.isEmpty || byteCount == 0 { return self }
        return Tensor(name: name, dtype: dtype, shape: shape, recipe: .computed(ByteSwappedRows(source: self)))
    }
}
