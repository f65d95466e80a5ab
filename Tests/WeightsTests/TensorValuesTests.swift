import Checkpoints
import Formats
import Kernels
import Testing
import TestSupport
import Weights

@Suite("the values of a tensor in f32")
struct TensorValuesTests {
    /// Plain types, blocks of 32 and blocks of 256.
    static let types: [DType] = ["F32", "F16", "BF16", "Q8_0", "Q4_K", "Q6_K"].compactMap(DType.init(named:))
    private static let shape = [5, 768]

    /// A tensor, and all its values decoded at once.
    private static func sample(_ dtype: DType) throws -> (tensor: Tensor, values: [Float]) {
        var random = SeededGenerator(seed: 11)
        let count = shape[0] * shape[1]
        let tensor = Tensor("w", shape, random.floats(count), as: dtype)
        var values = [Float](repeating: 0, count: count)
        try tensor.withBytes(rows: 0..<shape[0]) { bytes in
            values.withUnsafeMutableBufferPointer {
                if let base = $0.baseAddress { Codec.decode(dtype, bytes, count: count, into: base) }
            }
        }
        return (tensor, values)
    }

    private static func filled(
        _ count: Int, _ write: (UnsafeMutablePointer<Float>) throws -> Void
    ) throws -> [Float] {
        // A value behind the last that must stay.
        var values = [Float](repeating: -7, count: count + 1)
        try values.withUnsafeMutableBufferPointer { try write(#require($0.baseAddress)) }
        #expect(values.last == -7)
        return Array(values.dropLast())
    }

    @Test("any elements, wherever blocks and rows begin", arguments: types)
    func elements(dtype: DType) throws {
        let (tensor, values) = try TensorValuesTests.sample(dtype)
        for elements in [
            0..<0, 0..<1, 31..<33, 0..<3840, 255..<257, 3..<255, 700..<800, 1..<3839, 768..<1536, 3839..<3840,
        ] {
            let found = try TensorValuesTests.filled(elements.count) {
                try tensor.writeValues(elements: elements, into: $0)
            }
            #expect(found == Array(values[elements]))
        }
    }

    @Test("any rows and columns", arguments: types)
    func columns(dtype: DType) throws {
        let (tensor, values) = try TensorValuesTests.sample(dtype)
        for rows in [0..<5, 2..<3, 3..<5] {
            for columns in [0..<768, 0..<1, 31..<33, 100..<700, 256..<512, 767..<768] {
                let found = try TensorValuesTests.filled(rows.count * columns.count) {
                    try tensor.writeValues(rows: rows, columns: columns, into: $0)
                }
                #expect(found == rows.flatMap { values[$0 * 768 + columns.lowerBound..<$0 * 768 + columns.upperBound] })
            }
        }
        #expect(try tensor.floats() == values)
    }

    @Test("columns of rows in another order")
    func reordered() throws {
        let values = (0..<16).map(Float.init)
        var tensor = Tensor("w", [8, 2], values)
        tensor.recipe = .rows(tensor.recipe, .neighbours(heads: tensor.shape[0] / 4, headSize: 4))
        // Rows 0 1 2 3 of a head become 0 2 1 3; the second column of row r is 2r + 1.
        let found = try TensorValuesTests.filled(8) { try tensor.writeValues(rows: 0..<8, columns: 1..<2, into: $0) }
        #expect(found == [1, 5, 3, 7, 9, 13, 11, 15])
    }

    @Test("pieces lie one behind the other and hold every element once")
    func pieces() throws {
        let count = 2 * Tensor.valuesAtOnce + 5
        let tensor = Tensor("w", [count], (0..<count).map { Float($0 % 1021) })
        var sizes: [Int] = []
        var next = 3
        try tensor.forEachValues(of: 3..<count) { values, elements in
            #expect(elements.lowerBound == next)
            #expect(elements.allSatisfy { values[$0 - elements.lowerBound] == Float($0 % 1021) })
            sizes.append(elements.count)
            next = elements.upperBound
        }
        #expect(sizes == [Tensor.valuesAtOnce, Tensor.valuesAtOnce, 2])
    }

    @Test("rows that can compute their values are asked for the columns alone")
    func valueRows() throws {
        let tensor = Tensor(name: "w", dtype: .bf16, shape: [4, 6], recipe: .computed(Products()))
        let found = try TensorValuesTests.filled(6) { try tensor.writeValues(rows: 1..<3, columns: 2..<5, into: $0) }
        #expect(found == [102, 103, 104, 202, 203, 204])
    }
}

/// The value of row r and column c is 100 r + c; whole rows cannot be had.
private struct Products: ValueRows {
    var description: String { "products" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        throw CheckpointError("whole rows were asked for")
    }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) -> Bool {
        for (index, row) in rows.enumerated() {
            for (offset, column) in columns.enumerated() {
                output[index * columns.count + offset] = Float(100 * row + column)
            }
        }
        return true
    }
}
