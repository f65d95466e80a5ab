import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("rows in another order")
struct RowMapTests {
    private static func sources(_ map: RowMap) -> [Int] { (0..<map.count).map(map.source) }

    @Test("neighbours and halves undo each other", arguments: [2, 4, 8, 64, 128])
    func inverse(headSize: Int) {
        let neighbours = RowMap.neighbours(heads: 3, headSize: headSize)
        let halves = RowMap.halves(heads: 3, headSize: headSize)
        for row in 0..<headSize * 3 {
            let inner = halves.source(of: row)
            #expect(neighbours.source(of: inner) == row)
            #expect(inner / headSize == row / headSize)
        }
    }

    @Test("halves of a head become neighbours side by side")
    func neighbours() {
        #expect(RowMapTests.sources(.neighbours(heads: 1, headSize: 6)) == [0, 3, 1, 4, 2, 5])
        #expect(RowMapTests.sources(.neighbours(heads: 2, headSize: 4)) == [0, 2, 1, 3, 4, 6, 5, 7])
    }

    @Test("a part of one axis is every so many rows, and a slice of the first axis lies together")
    func parts() {
        // The middle of three in each of two heads of two rows: rows 2, 3 and 8, 9.
        let middle = RowMap(axes: [.init(count: 2, stride: 6), .init(count: 2, stride: 1)], first: 2)
        #expect(RowMapTests.sources(middle) == [2, 3, 8, 9])
        #expect(middle.contiguous == nil)
        let slice = RowMap(axes: [.init(count: 2, stride: 4), .init(count: 4, stride: 1)], first: 8)
        #expect(slice.contiguous == 8..<16)
        #expect(RowMap(axes: [], first: 3).contiguous == 3..<4)
        #expect(RowMap.permuting([5, 7], order: [0, 1]).contiguous == 0..<35)
    }

    @Test("a permutation of axes is that of an array of rows", arguments: 1...20)
    func permutations(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let sizes = (0..<3).map { _ in Int.random(in: 1...5, using: &generator) }
        let order = [0, 1, 2].shuffled(using: &generator)
        var expected: [Int] = []
        for i in 0..<sizes[order[0]] {
            for j in 0..<sizes[order[1]] {
                for k in 0..<sizes[order[2]] {
                    var coordinates = [0, 0, 0]
                    (coordinates[order[0]], coordinates[order[1]], coordinates[order[2]]) = (i, j, k)
                    expected.append((coordinates[0] * sizes[1] + coordinates[1]) * sizes[2] + coordinates[2])
                }
            }
        }
        #expect(RowMapTests.sources(.permuting(sizes, order: order)) == expected)
    }

    @Test("a recipe of moved rows gives any rows, at once or one by one")
    func rows() throws {
        let source = Tensor(name: "s", dtype: .f32, shape: [12, 2], recipe: .computed(CountedRows(rowByteCount: 8)))
        var tensor = source
        tensor.recipe = .rows(source.recipe, .neighbours(heads: 2, headSize: 6))
        let whole = try tensor.withBytes(rows: 0..<12) { [UInt8]($0) }
        let apart = try (0..<12).flatMap { row in try tensor.withBytes(rows: row..<row + 1) { [UInt8]($0) } }
        #expect(whole == apart)
        #expect(try source.withBytes(rows: 9..<10) { [UInt8]($0) } == Array(whole[56..<64]))
    }

    @Test("rows that lie together in a file are a range of it, and are copied, not computed")
    func folding() throws {
        let folder = TemporaryFolder()
        let bytes: [UInt8] = (0..<48).map { UInt8($0) }
        let file = SafetensorsBytes([(name: "a", dtype: "U8", shape: [12, 4], data: bytes)])
        let model = try Checkpoint.open(folder.write("a.safetensors", file.bytes))
        let tensor = try #require(model.tensors.first)
        let slice = RowMap(axes: [.init(count: 3, stride: 1)], first: 5)
        let recipe = tensor.recipe.taking(slice, rowByteCount: 4)
        guard case .mapped(let range) = recipe else { throw CheckpointError(file: nil, "is no range") }
        #expect(range.byteCount == 12)
        let part = Tensor(name: "a", dtype: try #require(DType(named: "U8")), shape: [3, 4], recipe: recipe)
        #expect(try part.withBytes(rows: 0..<3) { [UInt8]($0) } == Array(bytes[20..<32]))
        guard case .rows = tensor.recipe.taking(.permuting([3, 4], order: [1, 0]), rowByteCount: 4) else {
            throw CheckpointError(file: nil, "is no order of rows")
        }
    }

    @Test("a join gives the rows of its parts in turn, whatever rows are asked for", arguments: 1...20)
    func joins(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let turns = Int.random(in: 1...4, using: &generator)
        let runs = (0..<Int.random(in: 1...4, using: &generator)).map { _ in Int.random(in: 1...3, using: &generator) }
        var rows: [[UInt8]] = []
        let folder = TemporaryFolder()
        var sources: [Tensor] = []
        for (number, run) in runs.enumerated() {
            let bytes: [UInt8] = (0..<run * turns * 2).map { UInt8(number * 50 + $0) }
            let file = SafetensorsBytes([(name: "a", dtype: "U8", shape: [run * turns, 2], data: bytes)])
            sources += try Checkpoint.open(folder.write("\(number).safetensors", file.bytes)).tensors
        }
        for turn in 0..<turns {
            for (number, run) in runs.enumerated() {
                for row in turn * run..<(turn + 1) * run {
                    rows.append([UInt8(number * 50 + 2 * row), UInt8(number * 50 + 2 * row + 1)])
                }
            }
        }
        let parts = zip(sources, runs).map { RowJoin.Part(recipe: $0.recipe, run: $1) }
        let bytes = try #require(DType(named: "U8"))
        let tensor = Tensor(
            name: "j", dtype: bytes, shape: [rows.count, 2], recipe: .joined(RowJoin(parts, turns: turns)))
        for start in 0..<rows.count {
            for end in start + 1...rows.count {
                #expect(try tensor.withBytes(rows: start..<end) { [UInt8]($0) } == rows[start..<end].flatMap(\.self))
            }
        }
        var model = try Checkpoint.open(folder("0.safetensors"))
        model.tensors = [tensor]
        let written = try CheckpointWriter(threads: 2).write(OutputPlan(model), to: folder("out.safetensors"))
        #expect(
            try written.tensors.first?.withBytes(rows: 0..<rows.count) { [UInt8]($0) } == rows.flatMap(\.self))
    }
}
