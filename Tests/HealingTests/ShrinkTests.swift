import Analysis
import Checkpoints
import Formats
import Healing
import Surgery
import Synchronization
import TestSupport
import Testing

@Suite("the steps of shrink, as a library")
struct ShrinkTests {
    /// Short contexts, so that every step is run in seconds.
    private static func settings() -> Shrink {
        var shrink = Shrink(drop: 2, corpus: [.path(Fixture.path("calibration.txt"))], run: RunOptions(threads: 2))
        shrink.evaluation = [.path(Fixture.path("evaluation.txt"))]
        shrink.contextLength = 64
        shrink.rankingSamples = 2
        shrink.healSamples = 24
        shrink.evaluationSamples = 2
        return shrink
    }

    @Test("a model is cut, healed, trained, quantized and written, and every step is compared with the whole one")
    func complete() throws {
        let folder = TemporaryFolder()
        var shrink = ShrinkTests.settings()
        shrink.trainer = AdapterTrainer { share in
            var settings = TrainingSettings(removed: share)
            (settings.steps, settings.batch) = (2, 1)
            return settings
        }
        shrink.target = try ShrinkTarget(named: "q8_0")
        shrink.record = Provenance.Step(command: "shrink", options: JSONObject([("drop", .string("2"))]))
        let events = Mutex<[WorkEvent]>([])
        let work = Work { event in events.withLock { $0.append(event) } }
        let result = try shrink.run(Checkpoint.open(Fixture.model), to: folder.path + "/small.gguf", work: work)
        let written = try Checkpoint.open(folder.path + "/small.gguf")
        #expect(result.dropped.count == 2 && written.layerCount == 10 && result.written.layerCount == 10)
        #expect(written.tensors.contains { $0.dtype == .q8_0 })
        #expect(result.steps.steps.map(\.step.name) == ["cut", "refit", "lora", "Q8_0"])
        // What the steps say of the output is what a measurement of the file says.
        let text = try Corpus(shrink.evaluation, for: written, contextLength: 64, limit: 2)
        let expected = try Evaluation.measure(written, corpus: text, run: shrink.run)
        let last = try #require(result.steps.steps.last)
        #expect(last.divergences[0].model.negativeLogLikelihood == expected.negativeLogLikelihood)
        // The output says how it was made.
        let step = try #require(Provenance(of: written)?.steps.first)
        #expect(step.command == "shrink" && step.dropped == result.dropped.texts)
        #expect(step.texts.map { $0["name"]?.string } == ["calibration.txt", "evaluation.txt"])
        #expect(step.inputs == [try Provenance.input(Checkpoint.open(Fixture.model))])
        #expect(step.measured["cut"]?.double != nil && step.measured["healed"]?.double != nil)
        // Phases begin and end in the order of the work, and progress never goes past its end.
        let all = events.withLock { $0 }
        let begun = all.compactMap { if case .begins(let phase) = $0 { phase } else { nil } }
        let ended = all.compactMap { if case .ends(let phase) = $0 { phase } else { nil } }
        #expect(begun == [.analyze, .search, .compare, .heal, .teach, .train, .write, .judge])
        #expect(ended == begun)
        for case .progress(let phase, let done, let total) in all { #expect(done <= total, "\(phase)") }
    }

    @Test("without a record the output does not repeat what the model says, which would lack a step")
    func unrecorded() throws {
        let folder = TemporaryFolder()
        var shrink = ShrinkTests.settings()
        (shrink.form, shrink.chooser) = (nil, CutChooser(.angle))
        let history = Provenance(steps: [Provenance.Step(command: "cut", options: JSONObject())])
        let model = try RecordProvenance(history).apply(to: Checkpoint.open(Fixture.model))
        #expect(try Provenance(of: model) == history)
        let written = try shrink.run(model, to: folder("small")).written
        #expect(try written.layerCount == 10 && Provenance(of: written) == nil)
    }

    @Test(
        "a cancelled task ends the work with an error, and nothing is left",
        arguments: WorkPhase.allCases.filter { $0 != .pack })
    func cancelled(phase: WorkPhase) async throws {
        let folder = TemporaryFolder()
        var shrink = ShrinkTests.settings()
        shrink.trainer = AdapterTrainer { share in
            var settings = TrainingSettings(removed: share)
            (settings.steps, settings.batch) = (2, 1)
            return settings
        }
        if phase == .measure { shrink.chooser.rule = .loss }
        let work = Work { event in
            if case .begins(phase) = event { withUnsafeCurrentTask { $0?.cancel() } }
        }
        let model = try Checkpoint.open(Fixture.model)
        let path = folder.path + "/small"
        let task = Task { [shrink] in try shrink.run(model, to: path, work: work) }
        await #expect(throws: CheckpointError.cancelled) { try await task.value }
        // The comparison comes after the output.
        #expect(Files.names(folder.path) == (phase == .judge ? ["small"] : []))
    }

    @Test("an output that exists, or that cannot be run, is refused before any work")
    func refused() throws {
        let folder = TemporaryFolder()
        let existing = folder.write("small.gguf", "text")
        let work = Work { event in
            if case .begins(let phase) = event { Issue.record("begins to \(phase)") }
        }
        let model = try Checkpoint.open(Fixture.model)
        for (path, problem) in [
            (existing, "exists"),
            (
                folder.path + "/x.safetensors",
                "a single safetensors file has no configuration, so it cannot be run and evaluated"
            ),
        ] {
            let error = #expect(throws: CheckpointError.self) {
                try ShrinkTests.settings().run(model, to: path, work: work)
            }
            #expect(error?.problem == problem)
        }
        var shrink = ShrinkTests.settings()
        shrink.drop = 12
        let error = #expect(throws: CheckpointError.self) { try shrink.run(model, to: folder.path + "/x", work: work) }
        #expect(error?.problem == "cannot drop 12 of 12 layers")
        #expect(throws: CheckpointError.self) { try ShrinkTarget(named: "Q5") }
    }
}
