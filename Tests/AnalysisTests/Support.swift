import Checkpoints
import Formats
import Testing
import TestSupport

/// What PyTorch computes with the fixture, fixtures/states/analysis.json.
enum KnownAnalysis {
    static func object() throws -> JSONObject {
        let text = String(decoding: Files.read(Fixture.path("states/analysis.json")), as: UTF8.self)
        return try JSON.parse(text).object ?? JSONObject()
    }

    static func model() throws -> Checkpoint { try Checkpoint.open(Fixture.model) }
}

extension JSON {
    /// A table of numbers.
    var table: [[Double]] { (array ?? []).map { ($0.array ?? []).compactMap(\.double) } }
}

/// The fixture with one tensor of f32 that was made by the test.
struct Given: RowSource {
    let values: [Float]

    var description: String { "given values" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        values.withUnsafeBytes { bytes in
            let size = bytes.count / max(1, values.count / 256)
            output.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[rows.lowerBound * size..<rows.upperBound * size]))
        }
    }
}
