import Checkpoints
import Formats
import Kernels
import Surgery
import TestSupport
import Testing

/// Rows of f32 values that the test has made.
private struct ValuesInMemory: RowSource {
    let values: [Float]
    let columns: Int

    var description: String { "values" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        values[rows.lowerBound * columns..<rows.upperBound * columns].withUnsafeBytes { output.copyMemory(from: $0) }
    }
}

/// A model of one layer with the named matrices, for extractions.
enum Trained {
    static func tensor(_ name: String, _ shape: [Int], _ values: [Float]) -> Tensor {
        Tensor(
            name: name, dtype: .f32, shape: shape,
            recipe: .computed(ValuesInMemory(values: values, columns: shape.last ?? 1)))
    }

    static func model(_ tensors: [Tensor], config: String = "{}") throws -> Checkpoint {
        var checkpoint = try Models.fixture()
        checkpoint.architecture = nil
        checkpoint.config = try JSON.parse(config).object
        checkpoint.config?["num_hidden_layers"] = .int(1)
        checkpoint.tensors = tensors
        return checkpoint
    }

    static let name = "model.layers.0.mlp.up_proj.weight"

    /// The adapter of one matrix that was zero before the training.
    static func extracted(
        _ rows: Int, _ columns: Int, _ values: [Float], _ ranks: RankChoice, threads: Int = 2
    ) throws -> ExtractAdapter.Result {
        let before = try model([tensor(name, [rows, columns], Array(repeating: 0, count: rows * columns))])
        let after = try model([tensor(name, [rows, columns], values)])
        return try ExtractAdapter(ranks: ranks).adapter(from: before, to: after, baseName: "base", threads: threads)
    }

    /// What the adapter adds to the first matrix: `B A`.
    static func product(_ adapter: Checkpoint) throws -> [Float] {
        let (a, b) = (adapter.tensors[0], adapter.tensors[1])
        let (left, right) = (try Models.floats(b), try Models.floats(a))
        let (rank, columns) = (a.shape[0], a.shape[1])
        return (0..<b.shape[0]).flatMap { row in
            (0..<columns).map { column in
                Float(
                    (0..<rank).reduce(0.0) { $0 + Double(left[row * rank + $1]) * Double(right[$1 * columns + column]) }
                )
            }
        }
    }
}

@Suite("low-rank changes of one matrix")
struct ExtractedMatrixTests {
    @Test("a change of low rank is found again, with the rank that it has", arguments: [(90, 70), (40, 300), (5, 4)])
    func recovered(rows: Int, columns: Int) throws {
        var generator = SeededGenerator(seed: 1)
        let rank = min(5, columns - 1)
        let left = generator.floats(rows * rank), right = generator.floats(rank * columns)
        let values = (0..<rows * columns).map { index in
            (0..<rank).reduce(Float(0)) { sum, k in
                sum + (left[index / columns * rank + k] * 64).rounded()
                    * (right[k * columns + index % columns] * 64).rounded()
            }
        }
        let result = try Trained.extracted(rows, columns, values, RankChoice(rank: 16))
        #expect(result.modules[0].rank == rank)
        #expect(abs(result.modules[0].held - 1) < 1e-12)
        let largest = values.map(\.magnitude).max() ?? 0
        for (found, value) in zip(try Trained.product(result.adapter), values) {
            #expect(abs(found - value) <= 1e-6 * largest)
        }
    }

    /// Row k of Hadamard's matrix of size 64: all rows are orthogonal, and have the length 8.
    private static func hadamard(_ k: Int) -> [Double] { (0..<64).map { (k & $0).nonzeroBitCount % 2 == 0 ? 1 : -1 } }

    /// The sum of `value(k) u_k v_k'` over orthonormal vectors: the values are the singular values, exactly.
    private static func matrix(_ value: (Int) -> Double) -> [Float] {
        var values = Array(repeating: 0.0, count: 64 * 64)
        for k in 0..<64 {
            let (u, v) = (hadamard(k), hadamard(63 - k))
            for index in values.indices { values[index] += value(k) * u[index / 64] * v[index % 64] / 64 }
        }
        return values.map { Float($0) }
    }

    @Test("the share that is held is that of the largest singular values")
    func held() throws {
        // Squares 1, 1/4, 1/16, …: the first r hold 1 - 4^-r.
        let values = ExtractedMatrixTests.matrix { k in k < 20 ? 1 / Double(1 << k) : 0 }
        for rank in 1...6 {
            let result = try Trained.extracted(64, 64, values, RankChoice(rank: rank))
            let best = 1 - 1 / Double(1 << (2 * rank))
            #expect(abs(result.held - best) < 1e-6)
            #expect(abs(result.modules[0].squares - 4.0 / 3) < 1e-6)
        }
    }

    @Test("an energy takes the smallest rank that holds it, up to the highest")
    func energy() throws {
        let values = ExtractedMatrixTests.matrix { k in 1 / Double(k + 1) }
        let squares = (0..<64).map { 1 / Double(($0 + 1) * ($0 + 1)) }, total = squares.reduce(0, +)
        for energy in [0.3, 0.7, 0.9, 0.99] {
            let rank = (1...64).first { squares.prefix($0).reduce(0, +) >= energy * total }
            let result = try Trained.extracted(64, 64, values, RankChoice(energy: energy))
            #expect(result.modules[0].rank == rank, "\(energy)")
            #expect(result.held >= energy)
            let capped = try Trained.extracted(64, 64, values, RankChoice(rank: 2, energy: energy))
            #expect(capped.modules[0].rank == min(2, rank ?? 0))
        }
    }

    @Test("noise, whose singular values decay slowly, is held as well as a whole decomposition holds it")
    func noise() throws {
        var generator = SeededGenerator(seed: 6)
        let (rows, columns) = (320, 200)
        let values = generator.floats(rows * columns)
        let matrix = DoubleMatrix(rows: rows, columns: columns)
        for row in 0..<rows {
            for column in 0..<columns { matrix[row, column] = Double(values[row * columns + column]) }
        }
        // KernelsTests hold this one against numpy.
        let all = SmallSVD(matrix.factoredQR(threads: 1).r).values.map { $0 * $0 }
        for rank in [4, 16] {
            let result = try Trained.extracted(rows, columns, values, RankChoice(rank: rank))
            let best = all.prefix(rank).reduce(0, +) / all.reduce(0, +)
            #expect(result.held <= best + 1e-12 && result.held >= best - 1e-6, "\(rank): \(result.held) of \(best)")
        }
    }

    @Test("the matrices do not depend on the number of threads")
    func threads() throws {
        var generator = SeededGenerator(seed: 2)
        let values = generator.floats(600 * 500)
        let results = try (1...3).map {
            try Trained.extracted(600, 500, values, RankChoice(rank: 8), threads: $0).adapter
        }
        let first = try results[0].tensors.map { try Models.bytes($0) }
        for other in results.dropFirst() { #expect(try other.tensors.map { try Models.bytes($0) } == first) }
    }

    @Test("a rank that would be too high is refused, where nothing caps it")
    func tooHigh() throws {
        // 600 equal singular values: 0.9 of them need a rank of 540.
        var values = Array(repeating: Float(0), count: 600 * 600)
        for index in 0..<600 { values[index * 600 + index] = 1 }
        let message = "needs a rank above 512 to hold 0.9 of the squared norm of its difference; rank 512 holds 0.853"
        expectRefusal("tensor '\(Trained.name)' \(message)") {
            try Trained.extracted(600, 600, values, RankChoice(energy: 0.9)).adapter
        }
    }

    @Test("NaN and infinity are named with the model that holds them", arguments: [Float.nan, .infinity])
    func notFinite(value: Float) throws {
        var values = Array(repeating: Float(1), count: 40 * 30)
        values[17 * 30 + 4] = value
        expectRefusal("tensor 'model.layers.0.mlp.up_proj.weight' holds NaN or infinity, in row 17, column 4") {
            try Trained.extracted(40, 30, values, RankChoice(rank: 2)).adapter
        }
    }
}
