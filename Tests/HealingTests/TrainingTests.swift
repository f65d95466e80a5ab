import Analysis
import Checkpoints
import Formats
import Healing
import Surgery
import Testing
import TestSupport

@Suite("training of adapters")
struct TrainingTests {
    static let whole = Result { try Checkpoint.open(Fixture.model) }

    /// The fixture without layers 4 and 5, with its texts.
    struct Sample {
        let teacher, student: Checkpoint
        var fitting, choosing: Corpus

        init() throws {
            teacher = try TrainingTests.whole.get()
            student = try CutLayers(layers: 4..<6).apply(to: teacher)
            fitting = try Corpus(path: Fixture.path("calibration.txt"), for: teacher, contextLength: 64, limit: 8)
            choosing = try Corpus(path: Fixture.path("evaluation.txt"), for: teacher, contextLength: 64, limit: 4)
        }

        /// The cut model with a trained adapter in its weights.
        func folded(_ result: LoRATraining.Result) throws -> Checkpoint {
            let kept = KeptLayers(count: 12, dropped: 4..<6)
            return try CutLayers(layers: 4..<6).apply(to: result.folded(into: teacher, keeping: kept, threads: 2))
        }

        func run(
            _ settings: TrainingSettings, threads: Int = 2, state: String? = nil, resumes: Bool = false,
            holdsOut: Bool = true, progress: (@Sendable (LoRATraining.Event) -> Void)? = nil
        ) throws -> LoRATraining.Result {
            try LoRATraining(settings).run(
                student: student, teacher: teacher, fitting: fitting, choosing: holdsOut ? choosing : nil,
                baseName: "cut", threads: threads, state: state, resumes: resumes, progress: progress)
        }
    }

    static func settings(_ change: (inout TrainingSettings) -> Void = { _ in }) -> TrainingSettings {
        var settings = TrainingSettings()
        (settings.steps, settings.warmup, settings.evaluation, settings.rate) = (12, 2, 4, 2e-3)
        (settings.batch, settings.classes) = (3, 16)
        change(&settings)
        return settings
    }

    /// The bytes of all tensors of an adapter.
    static func bytes(_ adapter: Checkpoint) throws -> [UInt8] {
        try adapter.tensors.flatMap { tensor in try tensor.withBytes(rows: 0..<tensor.rowCount) { Array($0) } }
    }

    @Test("the losses of 20 steps as PyTorch and PEFT have them", arguments: TrainingSettings.Teacher.allCases)
    func known(teacher: TrainingSettings.Teacher) throws {
        let known = try JSON.parse(String(decoding: Files.read(Fixture.path("training.json")), as: UTF8.self))
        let names: [TrainingSettings.Teacher: String] = [.none: "text", .logits: "classes", .stream: "stream"]
        let expected = try #require(known[names[teacher] ?? ""]?.array).compactMap(\.double)
        var settings = TrainingSettings()
        (settings.rank, settings.alpha, settings.dropout, settings.classes) = (4, 8, 0, 16)
        (settings.batch, settings.steps, settings.warmup, settings.rate) = (4, 20, 5, 2e-3)
        settings.teacher = teacher
        var sample = try Sample()
        sample.fitting = sample.fitting.prefix(4)
        let found = try sample.run(settings, holdsOut: false).curve.steps.map(\.loss)
        #expect(expected.count == 20 && found.count == 20)
        for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-3 * min(1, b)) }
    }

    @Test("with a teacher the loss on held-out text falls", arguments: [TrainingSettings.Teacher.logits, .stream])
    func falls(teacher: TrainingSettings.Teacher) throws {
        let result = try Sample().run(TrainingTests.settings { $0.teacher = teacher })
        let first = try #require(result.curve.heldOut.first).loss
        let best = try #require(result.curve.best)
        #expect(best.loss < 0.97 * first && result.step == best.step && result.ending == .finished)
        #expect(result.curve.steps.count == 12)
        #expect(result.curve.steps.map(\.rate).prefix(3) == [1e-3, 2e-3, 2e-3])
        #expect(!result.notes.contains { $0.contains("adapts the model to the text") })
    }

    @Test("without a teacher the loss on the text itself falls, and a note says what that means")
    func text() throws {
        let result = try Sample().run(TrainingTests.settings { ($0.teacher, $0.steps) = (.none, 24) }, holdsOut: false)
        // Eight contexts, three a step: eight steps see all of them.
        let means = [0, 16].map { start in result.curve.steps[start..<start + 8].reduce(0) { $0 + $1.loss } / 8 }
        #expect(means[1] < 0.98 * means[0] && result.step == 24)
        #expect(result.notes.contains { $0.contains("adapts the model to the text") })
    }

    @Test("folded into the weights, the adapter gives the loss that was measured")
    func folds() throws {
        let sample = try Sample()
        let result = try sample.run(
            TrainingTests.settings { ($0.teacher, $0.targets) = (.none, TrainingSettings.Target.allCases) })
        let folded = try Convert(to: .folder, dtype: .f32).apply(to: sample.folded(result))
        let losses = try [sample.student, folded].map {
            try Evaluation.measure($0, corpus: sample.choosing, run: RunOptions(threads: 2)).negativeLogLikelihood
        }
        #expect(losses[1] < losses[0])
        // A training that goes on from the folded model begins where the other one ended.
        let again = try LoRATraining(TrainingTests.settings { ($0.teacher, $0.steps) = (.none, 1) }).run(
            student: folded, teacher: sample.teacher, fitting: sample.fitting, choosing: sample.choosing, threads: 2)
        let begun = try #require(again.curve.heldOut.first).loss, ended = try #require(result.curve.best).loss
        #expect(abs(begun - ended) < 1e-4)
    }

    @Test("on weights rounded to NF4, the folded model has the loss that was measured")
    func rounded() throws {
        let sample = try Sample()
        let settings = TrainingTests.settings { ($0.base, $0.steps, $0.evaluation) = (.nf4, 6, 6) }
        let result = try sample.run(settings)
        let folded = try sample.folded(result)
        let again = try LoRATraining(TrainingTests.settings { $0.steps = 1 }).run(
            student: folded, teacher: sample.teacher, fitting: sample.fitting, choosing: sample.choosing, threads: 2)
        let begun = try #require(again.curve.heldOut.first).loss, ended = try #require(result.curve.best).loss
        #expect(abs(begun - ended) < 1e-4)
        let plain = try sample.run(TrainingTests.settings { $0.steps = 1 })
        #expect(plain.curve.heldOut.first != result.curve.heldOut.first)
    }

    @Test("the same bytes for any number of threads")
    func threads() throws {
        let sample = try Sample()
        let all = try (1...3).map { try sample.run(TrainingTests.settings { $0.steps = 5 }, threads: $0) }
        #expect(try TrainingTests.bytes(all[1].adapter) == TrainingTests.bytes(all[0].adapter))
        #expect(try TrainingTests.bytes(all[2].adapter) == TrainingTests.bytes(all[0].adapter))
        #expect(all[1].curve == all[0].curve && all[2].curve == all[0].curve)
    }

    @Test("a training that was stopped and goes on ends in the same bytes", arguments: [true, false])
    func resumes(holdsOut: Bool) throws {
        let folder = TemporaryFolder()
        let sample = try Sample()
        let settings = TrainingTests.settings()
        let straight = try sample.run(settings, holdsOut: holdsOut)
        // The state behind step 4 is kept aside while the training goes on.
        let state = folder("state"), kept = folder("kept")
        _ = try sample.run(settings, state: state, holdsOut: holdsOut) { event in
            if case .step(6, _, _) = event { Files.write(kept, Files.read(state)) }
        }
        let again = try sample.run(settings, state: kept, resumes: true, holdsOut: holdsOut)
        #expect(again.curve == straight.curve && again.step == straight.step)
        #expect(try TrainingTests.bytes(again.adapter) == TrainingTests.bytes(straight.adapter))
        let error = #expect(throws: CheckpointError.self) {
            let other = TrainingTests.settings { $0.seed = 1 }
            return try sample.run(other, state: kept, resumes: true, holdsOut: holdsOut) { _ in
                Issue.record("the teacher runs before the options are compared")
            }
        }
        #expect(error?.description.contains("other options, models or texts") == true)
    }

    @Test("the teacher's answers are kept: a training that was stopped goes on behind them, and leaves nothing")
    func keepsAnswers() async throws {
        let folder = TemporaryFolder(), state = folder("state"), first = folder("state-0.safetensors")
        let sample = try Sample()
        let task = Task {
            try sample.run(TrainingTests.settings(), state: state) { event in
                guard case .taught(8, 12) = event else { return }
                withUnsafeCurrentTask { $0?.cancel() }
            }
        }
        await #expect(throws: CheckpointError.cancelled) { try await task.value }
        #expect(Files.names(folder.path) == ["state-0.safetensors"])
        let identity = try Checkpoint.open(first).identity
        let straight = try sample.run(TrainingTests.settings())
        let again = try sample.run(TrainingTests.settings(), state: state, resumes: true)
        #expect(try Checkpoint.open(first).identity == identity, "the answers were made again")
        #expect(again.curve == straight.curve)
        #expect(try TrainingTests.bytes(again.adapter) == TrainingTests.bytes(straight.adapter))
        LoRATraining.removeState(at: state)
        #expect(Files.names(folder.path) == [])
    }

    @Test("answers of another kind are made again, and a damaged file is named")
    func otherAnswers() throws {
        let folder = TemporaryFolder(), state = folder("state"), first = folder("state-0.safetensors")
        let sample = try Sample()
        let settings = TrainingTests.settings { $0.steps = 1 }
        _ = try sample.run(settings, state: state)
        let identity = try Checkpoint.open(first).identity
        let stream = TrainingTests.settings { ($0.steps, $0.teacher) = (1, .stream) }
        let found = try sample.run(stream, state: state)
        #expect(try Checkpoint.open(first).identity != identity)
        #expect(try found.curve == sample.run(stream).curve)
        folder.write("state-0.safetensors", "{}")
        let error = #expect(throws: CheckpointError.self) { try sample.run(stream, state: state) }
        #expect(error?.description.contains("state-0.safetensors") == true, "\(error?.description ?? "")")
    }

    @Test("a loss that diverges stops the training, and the last good adapter is kept")
    func diverges() throws {
        let result = try Sample().run(TrainingTests.settings { ($0.rate, $0.warmup) = (50, 0) })
        guard case .diverged(let step, _) = result.ending else {
            Issue.record("\(result.ending)")
            return
        }
        #expect(step < 12 && result.step == 0)
        #expect(result.notes.contains { $0.contains("diverged at step \(step)") })
    }

    @Test("a step over harder contexts than those of the first one is no divergence")
    func otherContexts() throws {
        var isHarder = false
        for seed in 0..<3 as Range<UInt64> {
            let result = try Sample().run(
                TrainingTests.settings {
                    ($0.rate, $0.batch, $0.divergence, $0.patience, $0.seed) = (1e-12, 1, 1.0001, 100, seed)
                    $0.teacher = .none
                })
            #expect(result.ending == .finished)
            let losses = result.curve.steps.map(\.loss)
            isHarder = isHarder || losses.contains { $0 > 1.0001 * losses[0] + 1e-3 }
        }
        #expect(isHarder)
    }

    @Test("a training without a new best on held-out text stops early")
    func stopsEarly() throws {
        let result = try Sample().run(
            TrainingTests.settings { ($0.rate, $0.steps, $0.evaluation, $0.patience) = (0, 12, 1, 2) })
        #expect(result.ending == .stoppedEarly(step: 2) && result.step == 0)
        #expect(result.notes.contains { $0.contains("gained nothing") })
    }

    @Test("a training that stopped early, and whose output was not written, stops at the same step again")
    func stopsAgain() throws {
        let folder = TemporaryFolder(), sample = try Sample()
        let settings = TrainingTests.settings { ($0.rate, $0.steps, $0.evaluation, $0.patience) = (0, 12, 1, 2) }
        let first = try sample.run(settings, state: folder("state"))
        guard case .stoppedEarly = first.ending else {
            Issue.record("\(first.ending)")
            return
        }
        let again = try sample.run(settings, state: folder("state"), resumes: true)
        #expect(again.ending == first.ending && again.curve == first.curve && again.step == first.step)
        #expect(try TrainingTests.bytes(again.adapter) == TrainingTests.bytes(first.adapter))
    }

    @Test("the plan has the types and sizes that the trained model gets", arguments: TrainingSettings.Base.allCases)
    func planned(base: TrainingSettings.Base) throws {
        let sample = try Sample()
        let settings = TrainingTests.settings { ($0.base, $0.steps) = (base, 1) }
        let planned = try CutLayers(layers: 4..<6).apply(
            to: LoRATraining(settings).planned(sample.teacher, threads: 2))
        let folded = try sample.folded(sample.run(settings))
        #expect(planned.tensors.map(\.dtype) == folded.tensors.map(\.dtype))
        #expect(folded.tensors.map(\.dtype) == sample.student.tensors.map(\.dtype))
        #expect(planned.byteCount == folded.byteCount)
        let large = TrainingTests.settings { $0.rank = 5000 }
        #expect(throws: CheckpointError.self) { try LoRATraining(large).planned(sample.teacher, threads: 1) }
    }

    @Test("the adapter is a folder of PEFT's for the layers of the cut model")
    func folder() throws {
        let adapter = try Sample().run(TrainingTests.settings { $0.steps = 1 }).adapter
        #expect(adapter.tensors.count == 10 * 3 * 2)
        #expect(
            adapter.tensor(named: "base_model.model.model.layers.9.mlp.down_proj.lora_A.weight")?.shape == [8, 512])
        #expect(
            adapter.tensor(named: "base_model.model.model.layers.9.mlp.down_proj.lora_B.weight")?.shape == [256, 8])
        let config = try JSON.parse(
            String(decoding: #require(adapter.companion("adapter_config.json")).contents, as: UTF8.self))
        #expect(config["r"]?.int == 8 && config["lora_alpha"]?.int == 16 && config["lora_dropout"]?.double == 0.05)
        #expect(config["target_modules"]?.array?.compactMap(\.string) == ["down_proj", "gate_proj", "up_proj"])
        #expect(config["base_model_name_or_path"]?.string == "cut")
    }

    @Test("a teacher with another vocabulary is refused")
    func otherTeacher() throws {
        let sample = try Sample()
        let other = try Checkpoint.open(Fixture.path("tiny/llama3"))
        let error = #expect(throws: CheckpointError.self) {
            try LoRATraining().run(
                student: sample.student, teacher: other, fitting: sample.fitting, choosing: nil, threads: 2)
        }
        #expect(error?.description.contains("has 64 tokens and the model that it teaches 2,048") == true)
    }
}

@Suite("pictures of a training")
struct TrainingCurveTests {
    @Test("the picture has a point for every step and measurement, higher losses higher up")
    func picture() throws {
        let curve = try TrainingTests.Sample().run(TrainingTests.settings { $0.steps = 8 }).curve
        let lines = curve.picture.split(separator: "\n")
        let polylines = lines.filter { $0.hasPrefix("<polyline") }
        let counts = polylines.map { $0.split(separator: "\"")[1].split(separator: " ").count }
        #expect(counts == [8, 3])
        #expect(lines.count { $0.hasPrefix("<circle") } == 3)
        let heights = polylines[0].split(separator: "\"")[1].split(separator: " ").map {
            Double($0.split(separator: ",")[1]) ?? .nan
        }
        for (a, b) in zip(zip(heights, curve.steps), zip(heights, curve.steps).dropFirst()) {
            #expect((a.0 < b.0) == (a.1.loss > b.1.loss) || abs(a.0 - b.0) < 0.02)
        }
        #expect(heights.allSatisfy { 20...350 ~= $0 })
    }
}
