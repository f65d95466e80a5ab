import Checkpoints
import TestSupport
import Testing

private struct Rows: RowSource {
    struct Settings: Sendable {
        var name = "a"
        var weights: [Float] = [1, 2]
        var choice: [String: Int] = ["x": 1, "y": 2, "z": 3]
        var limit: Int? = 7
    }

    let source: Recipe
    var settings = Settings()
    var bytes: [UInt8] = [1, 2, 3]

    var description: String { "rows of a test" }
    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {}
}

@Suite("fingerprints of computed rows")
struct FingerprintTests {
    @Test("every stored value counts, at any depth, and none that is the same")
    func members() throws {
        let tensors = try Checkpoint.open(Fixture.model).tensors
        let rows = Rows(source: tensors[0].recipe)
        #expect(rows.fingerprint == Rows(source: tensors[0].recipe).fingerprint)
        func differs(_ change: (inout Rows) -> Void) -> Bool {
            var other = rows
            change(&other)
            return other.fingerprint != rows.fingerprint
        }
        #expect(differs { $0 = Rows(source: tensors[1].recipe) })
        #expect(differs { $0 = Rows(source: .rows(tensors[0].recipe, .neighbours(heads: 1, headSize: 2))) })
        #expect(differs { $0 = Rows(source: .computed($0)) })
        #expect(differs { $0.settings.name = "b" })
        #expect(differs { $0.settings.weights[1] = 3 })
        #expect(differs { $0.settings.choice["z"] = 4 })
        #expect(differs { $0.settings.limit = nil })
        #expect(differs { $0.bytes[2] = 4 })
    }
}
