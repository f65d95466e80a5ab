import Analysis
import Checkpoints
import Healing
import Surgery
import Synchronization
import TestSupport
import Testing

@Suite("a run that goes on after what was measured")
struct MeasuresTests {
    private static func settings(_ text: String = "calibration.txt") -> Shrink {
        var shrink = Shrink(drop: 2, corpus: [.path(Fixture.path(text))], run: RunOptions(threads: 2))
        shrink.evaluation = [.path(Fixture.path("evaluation.txt"))]
        (shrink.contextLength, shrink.rankingSamples, shrink.healSamples, shrink.evaluationSamples) = (64, 2, 24, 2)
        return shrink
    }

    /// Phases that did any work.
    private final class Phases: Sendable {
        private let worked = Mutex<[WorkPhase]>([])
        private let stopsAt: WorkPhase?

        init(stopsAt: WorkPhase? = nil) { self.stopsAt = stopsAt }

        var all: [WorkPhase] { worked.withLock { $0 } }

        func work(_ path: String, _ model: Checkpoint) throws -> Work {
            var work = Work { [self] event in
                if case .begins(let phase) = event, phase == stopsAt { withUnsafeCurrentTask { $0?.cancel() } }
                guard case .progress(let phase, _, _) = event else { return }
                worked.withLock { if $0.last != phase { $0.append(phase) } }
            }
            work.measures = try Measures(at: path, of: model)
            return work
        }
    }

    @Test(
        "it measures nothing twice, gives the same bytes, and leaves nothing",
        arguments: [
            (WorkPhase.compare, [WorkPhase.search, .compare, .heal, .write, .judge]),
            (.write, [.search, .compare, .write, .judge]),
        ])
    func resumed(interrupted: WorkPhase, expected: [WorkPhase]) async throws {
        let folder = TemporaryFolder()
        let shrink = MeasuresTests.settings()
        let model = try Checkpoint.open(Fixture.model)
        let whole = try shrink.run(model, to: folder("whole.gguf"))
        let (path, output) = (folder("measures"), folder("small.gguf"))
        let first = try Phases(stopsAt: interrupted).work(path, model)
        let task = Task { try shrink.run(model, to: output, work: first) }
        await #expect(throws: CheckpointError.cancelled) { try await task.value }
        #expect(Files.names(folder.path).contains("measures") && !Files.names(folder.path).contains("small.gguf"))
        let phases = Phases()
        let again = try shrink.run(model, to: output, work: phases.work(path, model))
        // The distances are not measured again; the other phases count what they have found.
        #expect(phases.all == expected)
        #expect(again.dropped == whole.dropped)
        #expect(Files.read(output) == Files.read(folder("whole.gguf")))
        #expect(Files.names(folder.path).sorted() == ["small.gguf", "whole.gguf"])
    }

    @Test("values of another text or of other options are not taken")
    func others() throws {
        let folder = TemporaryFolder()
        let model = try Checkpoint.open(Fixture.model)
        func phases(_ shrink: Shrink) throws -> [WorkPhase] {
            let phases = Phases()
            var run = try ShrinkRun(shrink, model, to: folder("x.gguf"), work: phases.work(folder("measures"), model))
            try run.readTexts()
            _ = try run.choose()
            return phases.all
        }
        var shrink = MeasuresTests.settings()
        shrink.chooser = CutChooser(.loss)
        #expect(try phases(shrink) == [.analyze, .measure])
        #expect(try phases(shrink) == [])
        shrink.chooser.candidates = 2
        #expect(try phases(shrink) == [.measure])
        shrink.run.precision = .bf16
        #expect(try phases(shrink) == [.analyze, .measure])
        shrink.contextLength = 32
        #expect(try phases(shrink) == [.analyze, .measure])
        var other = MeasuresTests.settings("evaluation.txt")
        other.chooser = CutChooser(.loss)
        other.evaluation = []
        #expect(try phases(other) == [.analyze, .measure])
        let file = folder.write("other", "{}")
        let error = #expect(throws: CheckpointError.self) { try Measures(at: file, of: model) }
        #expect(error?.problem == "does not hold measures of an interrupted run")
    }
}
