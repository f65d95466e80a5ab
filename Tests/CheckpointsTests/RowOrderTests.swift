import Checkpoints
import Formats
import Testing

@Suite("row orders")
struct RowOrderTests {
    @Test("interleaving and taking apart undo each other", arguments: [2, 4, 8, 64, 128])
    func inverse(headSize: Int) {
        for row in 0..<headSize * 3 {
            let inner = RowOrder.deinterleave(headSize: headSize).source(of: row)
            #expect(RowOrder.interleave(headSize: headSize).source(of: inner) == row)
            #expect(inner / headSize == row / headSize)
        }
    }

    @Test("interleaving puts the halves of a head side by side")
    func interleaved() {
        let order = RowOrder.interleave(headSize: 6)
        #expect((0..<6).map(order.source) == [0, 3, 1, 4, 2, 5])
    }

    @Test("a reordered recipe gives any rows, at once or one by one")
    func rows() throws {
        let source = Tensor(name: "s", dtype: .f32, shape: [12, 2], recipe: .computed(CountedRows(rowByteCount: 8)))
        var tensor = source
        tensor.recipe = .reordered(source.recipe, .interleave(headSize: 6))
        let whole = try tensor.withBytes(rows: 0..<12) { [UInt8]($0) }
        let apart = try (0..<12).flatMap { row in try tensor.withBytes(rows: row..<row + 1) { [UInt8]($0) } }
        #expect(whole == apart)
        #expect(try source.withBytes(rows: 9..<10) { [UInt8]($0) } == Array(whole[56..<64]))
    }
}
