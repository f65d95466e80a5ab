import Analysis
import Checkpoints
import Healing
import Surgery
import TestSupport
import Testing

@Suite("shrink as a command and as a library")
struct ShrinkLibraryTests {
    /// What each tensor is, with its bytes.
    private static func tensors(_ path: String) throws -> [String: [UInt8]] {
        var found: [String: [UInt8]] = [:]
        for tensor in try Checkpoint.open(path).tensors {
            try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes throws(CheckpointError) in
                found["\(tensor.name) \(tensor.dtype) \(tensor.shape)"] = Array(bytes)
            }
        }
        return found
    }

    @Test("both choose the same layers, write the same weights and measure the same")
    func same() throws {
        let folder = TemporaryFolder()
        let (model, text) = (Fixture.model, Fixture.path("calibration.txt"))
        let evaluation = Fixture.path("evaluation.txt")
        let outcome = try Program.shell(
            "resect shrink \(model) -o a.gguf --corpus \(text) --evaluation \(evaluation) --drop 2 --type Q8_0 "
                + "--context 64 --samples 2 --heal-samples 24 --evaluation-samples 2 --seed 3 --json --quiet",
            in: folder)
        #expect(outcome.status == 0, "\(outcome.output)")
        let answer = try JSON.parse(outcome.output)

        var shrink = Shrink(drop: 2, corpus: [.path(text)], run: RunOptions(threads: 1))
        shrink.evaluation = [.path(evaluation)]
        shrink.contextLength = 64
        shrink.rankingSamples = 2
        shrink.healSamples = 24
        shrink.evaluationSamples = 2
        shrink.seed = 3
        shrink.target = try ShrinkTarget(named: "Q8_0")
        let result = try shrink.run(Checkpoint.open(model), to: folder("b.gguf"))

        // The command adds how the file was made to the metadata.
        let ours = try Self.tensors(folder("a.gguf")), theirs = try Self.tensors(folder("b.gguf"))
        #expect(ours.count > 80 && ours == theirs)
        #expect(answer["dropped"]?.array?.compactMap(\.string) == result.dropped.texts)
        let last = try #require(result.steps.steps.last)
        #expect(answer["after"]?["perplexity"]?.double == ShrinkSteps.perplexity(last.divergences, \.model))
    }
}
