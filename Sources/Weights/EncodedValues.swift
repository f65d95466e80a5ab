package import Formats
internal import Kernels

extension DType {
    /// Decodes a range of elements, which need not begin or end at a block.
    ///
    /// - Parameters:
    ///   - bytes: whole blocks of this type.
    ///   - elements: which elements, counted from the first block.
    ///   - output: room for `elements.count` values.
    /// - Precondition: `Codec.decodes(self)`.
    package func decode(
        _ bytes: UnsafeRawBufferPointer, elements: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) {
        var start = elements.lowerBound
        while start < elements.upperBound {
            let first = start / blockCount
            let encoded = UnsafeRawBufferPointer(rebasing: bytes[(first * blockByteCount)...])
            let target = output + (start - elements.lowerBound)
            let skipped = start - first * blockCount
            let whole = (elements.upperBound - start) / blockCount * blockCount
            if skipped == 0, whole > 0 {
                Codec.decode(self, encoded, count: whole, into: target)
                start += whole
                continue
            }
            let count = min(blockCount - skipped, elements.upperBound - start)
            withUnsafeTemporaryAllocation(of: Float.self, capacity: blockCount) { block in
                guard let base = block.baseAddress else { return }
                Codec.decode(self, encoded, count: blockCount, into: base)
                target.update(from: base + skipped, count: count)
            }
            start += count
        }
    }

    /// Rounds values to those that the type represents.
    ///
    /// - Precondition: the type is encoded and decoded one element at a time.
    package func round(_ values: UnsafeMutablePointer<Float>, count: Int) {
        let encoded = Scratch(byteCount: count * blockByteCount)
        let bytes = UnsafeMutableRawBufferPointer(start: encoded.base, count: count * blockByteCount)
        Codec.encode(self, values, rows: 1, rowLength: count, into: bytes)
        Codec.decode(self, UnsafeRawBufferPointer(bytes), count: count, into: values)
    }
}
