internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Weights

/// The steps of a training, with everything that changes from one to the next.
final class TrainingSession {
    let settings: TrainingSettings
    let matrices: TrainedMatrices
    var curve = TrainingCurve()
    /// How many steps are done.
    var step = 0
    /// The values with the least loss on held-out text, and how many steps they have had.
    var best: [Scratch]
    var bestStep = 0
    /// The loss of the first context without adapters: another model or teacher would give another one.
    let probe: Double
    let training: TrainingTargets
    private let measured: TrainingTargets
    /// What decides the training, but for the weights.
    var identity: String {
        TrainingState.identity(settings, training: training.contexts, measured: measured.contexts)
    }
    private let model: DecoderModel
    private let threads: Int
    private let pass: TrainingPass
    private let output: OutputLoss
    private let state: String?

    /// Contexts that are measured together.
    private static let contextsAtOnce = 16

    init(
        _ model: DecoderModel, _ settings: TrainingSettings, training: TrainingTargets, measured: TrainingTargets,
        memory: Int, threads: Int, state: String?
    ) throws(CheckpointError) {
        (self.model, self.settings, self.training, self.measured) = (model, settings, training, measured)
        (self.threads, self.state) = (threads, state)
        matrices = TrainedMatrices(model, settings)
        best = matrices.copied()
        pass = TrainingPass(
            model, contextLength: training.contexts[0].count, contextCount: settings.batch, memory: memory,
            threads: threads)
        output = OutputLoss(model, threads: threads)
        probe = try TrainingSession.loss(of: model, training, contexts: 0..<1, output, threads: threads)
    }

    /// Runs the steps that are left. Afterwards the matrices hold the best values.
    func run(_ progress: (@Sendable (LoRATraining.Event) -> Void)?) throws(CheckpointError) -> LoRATraining.Ending {
        var ending = LoRATraining.Ending.finished
        while true {
            if step % settings.evaluation == 0 || step == settings.steps {
                if let reason = try measure(progress) {
                    ending = reason
                    break
                }
            }
            guard step < settings.steps else { break }
            if let reason = try advance() {
                ending = reason
                break
            }
            if let last = curve.steps.last { progress?(.step(step, settings.steps, last)) }
        }
        matrices.restore(best)
        return ending
    }

    /// Measures the loss on held-out text, and keeps the state. Values that have been measured before stay as they are.
    private func measure(_ progress: ((LoRATraining.Event) -> Void)?) throws(CheckpointError) -> LoRATraining.Ending? {
        guard !measured.contexts.isEmpty else {
            let losses = curve.steps.map(\.loss), count = settings.evaluation
            let loss = TrainingSession.mean(losses.suffix(count))
            guard step == 0 || !isDiverged(loss, first: TrainingSession.mean(losses.prefix(count))) else {
                return .diverged(step: step, loss: loss)
            }
            best = matrices.copied()
            bestStep = step
            try save()
            return nil
        }
        guard curve.heldOut.last?.step != step else { return earlyStop }
        let loss = try TrainingSession.loss(
            of: step == 0 ? model : matrices.adapted(model), measured, contexts: measured.contexts.indices, output,
            threads: threads)
        guard loss.isFinite, !isDiverged(loss, first: curve.heldOut.first?.loss) else {
            return .diverged(step: step, loss: loss)
        }
        let isBest = loss < curve.best?.loss ?? .infinity
        curve.heldOut.append(.init(step: step, loss: loss))
        progress?(.measured(.init(step: step, loss: loss)))
        if isBest {
            best = matrices.copied()
            bestStep = step
        }
        try save()
        return earlyStop
    }

    /// The end of the training, where too many measurements brought no new best; also where an earlier run has made them.
    private var earlyStop: LoRATraining.Ending? {
        let waited = curve.heldOut.reversed().prefix { $0.step > bestStep }.count
        return waited >= settings.measurementsWithoutGain ? .stoppedEarly(step: step) : nil
    }

    /// One step over the contexts whose turn it is.
    private func advance() throws(CheckpointError) -> LoRATraining.Ending? {
        let indices = contexts(of: step), tokens = indices.count * training.tokensPerContext
        for pair in matrices.pairs { pair.gradient.clear() }
        let gradients = matrices.gradients
        var sum = 0.0
        for (part, start) in stride(from: 0, to: indices.count, by: pass.contextsAtOnce).enumerated() {
            let some = Array(indices[start..<min(start + pass.contextsAtOnce, indices.count)])
            let adapted = matrices.adapted(model) { [seed = settings.seed, step] index in
                var numbers = SeededNumbers(seed: seed, 2, step, part, index)
                return numbers.next()
            }
            sum += try pass.run(adapted, some.map { training.contexts[$0] }, addingTo: gradients) {
                (states, gradient) throws(CheckpointError) in
                try training.loss(of: some, output, states: states, gradient: gradient, factor: 1 / Double(tokens))
            }
        }
        let loss = sum / Double(tokens), norm = matrices.gradientNorm
        // Steps see other contexts, so a larger loss says nothing.
        guard loss.isFinite, norm.isFinite else { return .diverged(step: step, loss: loss) }
        curve.steps.append(.init(loss: loss, rate: settings.rate(at: step), gradient: norm))
        matrices.update(step: step, factor: Float(min(1, settings.clipping / (norm + 1e-6))))
        step += 1
        return nil
    }

    private func isDiverged(_ loss: Double, first: Double?) -> Bool {
        first.map { loss > settings.divergence * $0 + 1e-3 } ?? false
    }

    private static func mean(_ losses: ArraySlice<Double>) -> Double {
        losses.reduce(0, +) / Double(max(1, losses.count))
    }

    /// The contexts of a step. All contexts come in an order of their own, then again in another one.
    private func contexts(of step: Int) -> [Int] {
        let count = training.contexts.count
        return (step * settings.batch..<(step + 1) * settings.batch).map { turn in
            var numbers = SeededNumbers(seed: settings.seed, 1, turn / count)
            return numbers.permutation(count)[turn % count]
        }
    }

    /// The mean loss over some contexts.
    private static func loss(
        of model: DecoderModel, _ targets: TrainingTargets, contexts: Range<Int>, _ output: OutputLoss, threads: Int
    ) throws(CheckpointError) -> Double {
        var sum = 0.0
        for start in stride(from: contexts.lowerBound, to: contexts.upperBound, by: contextsAtOnce) {
            let some = Array(start..<min(start + contextsAtOnce, contexts.upperBound))
            let tokens = some.map { targets.contexts[$0] }
            let pass = try ForwardPass(
                model, contexts: tokens, precision: .f32, threads: threads,
                observer: FiniteStates(model, contextLength: tokens[0].count, firstContext: start))
            while pass.layer < model.layerCount { try pass.advance() }
            sum += try targets.loss(of: some, output, states: pass.states, gradient: nil, factor: 1)
        }
        return sum / Double(contexts.count * targets.tokensPerContext)
    }

    private func save() throws(CheckpointError) {
        if let state { try TrainingState.write(self, to: state) }
    }

    /// Goes on with the training that the state's file holds, if there is one.
    func resume() throws(CheckpointError) {
        guard let state, FileSystem.kind(of: state) != .missing else { return }
        try TrainingState.read(state, into: self)
    }
}
