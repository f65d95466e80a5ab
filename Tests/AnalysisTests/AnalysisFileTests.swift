import Analysis
import Checkpoints
import Formats
import Testing
import TestSupport

@Suite("the file of an analysis")
struct AnalysisFileTests {
    /// Distances of three layers that need all their digits.
    private static func table(_ seed: Double) -> [[Double]] {
        (0...3).map { row in (0...3).map { column in abs(Double(row - column)) * seed / 7 } }
    }

    private static func read(_ text: String, layers: Int = 3) throws -> Similarity {
        let folder = TemporaryFolder()
        return try AnalysisFile.read(folder.write("analysis.json", text), layers: layers, model: "m")
    }

    @Test("what is written is read again, with every digit", arguments: [true, false])
    func roundTrip(hasAll: Bool) throws {
        let similarity = Similarity(
            layers: 3, samples: 4, context: 128, last: AnalysisFileTests.table(0.1),
            all: hasAll ? AnalysisFileTests.table(0.3) : nil)
        let folder = TemporaryFolder()
        let path = folder("analysis.json")
        let object = AnalysisFile.json(similarity, candidates: similarity.nearestRunOfEachSize(), loss: nil)
        try AnalysisFile.write(object, to: path, force: false)
        #expect(try AnalysisFile.read(path, layers: 3, model: "m") == similarity)
        #expect(throws: CheckpointError.self) { try AnalysisFile.write(object, to: path, force: false) }
    }

    @Test("candidates are the nearest run of each size, then the other measured runs of that size")
    func candidates() throws {
        let similarity = Similarity(layers: 3, samples: 4, context: 128, last: AnalysisFileTests.table(0.1), all: nil)
        let nearest = [LayerRun(layers: 0..<1, distance: 0.25), LayerRun(layers: 0..<2, distance: 0.5)]
        let measured = [
            LayerRun(layers: 1..<2, distance: 0.75, loss: 2), LayerRun(layers: 0..<1, distance: 0.25, loss: 3),
        ]
        let object = AnalysisFile.json(similarity, candidates: nearest, loss: RunLoss(whole: 1.5, runs: measured))
        #expect(object["blocks"] == nil && object["loss"] == .double(1.5))
        #expect(
            object["candidates"]?.compact == #"[{"layers":["0:1"],"distance":0.25,"loss":3.0},"#
                + #"{"layers":["1:2"],"distance":0.75,"loss":2.0},{"layers":["0:2"],"distance":0.5,"loss":null}]"#)
    }

    @Test("another model's, other JSON, and tables with holes are refused")
    func refusals() throws {
        func expect(_ words: String, _ text: String, layers: Int = 3) {
            let error = #expect(throws: CheckpointError.self) { try AnalysisFileTests.read(text, layers: layers) }
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
        let right = #"{"layers":1,"distance":{"last":[[0,0.5],[0.5,0]]}}"#
        #expect(try AnalysisFileTests.read(right, layers: 1).last == [[0, 0.5], [0.5, 0]])
        expect("is the analysis of a model with 1 layers; m has 3", right)
        expect("is not an analysis", #"{"layers":1}"#)
        for last in ["[[0,0.5]]", "[[0,0.5],[0.5]]", #"[[0,"x"],[0.5,0]]"#, "[[0,1e999],[0.5,0]]", "null"] {
            expect("has no table of 2 by 2 distances", #"{"layers":1,"distance":{"last":\#(last)}}"#, layers: 1)
        }
    }
}
