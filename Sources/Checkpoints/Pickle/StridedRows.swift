/// The rows of a view of a storage with any strides, in elements of 1, 2, 4 or 8 bytes.
struct StridedRows: RowSource {
    let storage: Recipe
    let storageByteCount: Int
    let offset: Int
    let shape: [Int]
    let strides: [Int]
    let width: Int
    /// The size of the units whose bytes are swapped: 1 for none, half an element for complex numbers.
    let swapWidth: Int

    /// Columns are gathered in groups of this many, so that what neighbouring rows share stays in the cache.
    private static let tile = 32

    var description: String {
        "elements of \(storage) with offset \(offset), strides \(strides)" + (swapWidth > 1 ? ", bytes swapped" : "")
    }

    /// The last element that a view with elements looks at; `nil` when the number overflows.
    static func lastElement(offset: Int, shape: [Int], strides: [Int]) -> Int? {
        var last = offset
        for (dimension, stride) in zip(shape, strides) {
            let (step, overflow) = (dimension - 1).multipliedReportingOverflow(by: stride)
            let (sum, sumOverflow) = last.addingReportingOverflow(step)
            guard !overflow, !sumOverflow else { return nil }
            last = sum
        }
        return last
    }

    /// Whether the elements are contiguous and in order.
    static func lieTogether(shape: [Int], strides: [Int]) -> Bool {
        var expected = 1
        for (dimension, stride) in zip(shape, strides).reversed() where dimension != 1 {
            guard stride == expected else { return false }
            expected *= dimension  // fits: the count of elements was checked
        }
        return true
    }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        let starts = rows.map(start(of:))
        try storage.withBytes(rows: 0..<1, rowByteCount: storageByteCount) { bytes in
            switch (width, swapWidth) {
            case (1, _): gather(UInt8.self, starts, bytes, output) { $0 }
            case (2, 1): gather(UInt16.self, starts, bytes, output) { $0 }
            case (4, 1): gather(UInt32.self, starts, bytes, output) { $0 }
            case (8, 1): gather(UInt64.self, starts, bytes, output) { $0 }
            case (2, 2): gather(UInt16.self, starts, bytes, output, \.byteSwapped)
            case (4, 4): gather(UInt32.self, starts, bytes, output, \.byteSwapped)
            case (8, 8): gather(UInt64.self, starts, bytes, output, \.byteSwapped)
            case (8, 4):
                gather(UInt64.self, starts, bytes, output) { element in
                    let swapped = element.byteSwapped
                    return swapped << 32 | swapped >> 32  // fits: the halves change places
                }
            default: preconditionFailure("elements of \(width) bytes cannot be gathered")
            }
        }
    }

    /// The element of the storage that a row starts with.
    private func start(of row: Int) -> Int {
        var (rest, start) = (row, offset)
        for index in shape.indices.dropLast().reversed() {
            start += rest % shape[index] * strides[index]  // fits: the last element lies in the storage
            rest /= shape[index]
        }
        return start
    }

    @inline(__always)
    private func gather<Element: FixedWidthInteger>(
        _ type: Element.Type, _ starts: [Int], _ bytes: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer,
        _ change: (Element) -> Element
    ) {
        let columns = shape.last ?? 1, step = strides.last ?? 0, size = MemoryLayout<Element>.size
        for first in stride(from: 0, to: columns, by: StridedRows.tile) {
            let tile = first..<min(columns, first + StridedRows.tile)
            for (row, start) in starts.enumerated() {
                for column in tile {
                    let from = (start + column * step) * size  // fits: the last element lies in the storage
                    let offset = (row * columns + column) * size  // fits: a position in the output
                    let element = bytes.loadUnaligned(fromByteOffset: from, as: Element.self)
                    output.storeBytes(of: change(element), toByteOffset: offset, as: Element.self)
                }
            }
        }
    }
}
