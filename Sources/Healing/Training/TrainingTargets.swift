internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Weights

/// What the adapted model is to reproduce for some contexts: made once, and kept on disk.
struct TrainingTargets {
    /// The tokens of each context, as the model reads them.
    let contexts: [[Int32]]
    private let kind: TrainingSettings.Teacher
    private let classes: Int
    /// `nil` where the text itself is the target.
    private let answers: TeacherAnswers?

    /// Makes the targets.
    ///
    /// - Parameters:
    ///   - teacher: the whole model.
    ///   - kept: where its answers stay for a run that goes on later; `nil` keeps none.
    ///   - progress: called with the number of contexts that are done.
    init(
        _ contexts: [[Int32]], _ settings: TrainingSettings, teacher: DecoderModel?, kept: KeptAnswers?,
        threads: Int, progress: (_ done: Int) -> Void
    ) throws(CheckpointError) {
        self.contexts = contexts
        kind = settings.teacher
        classes = settings.classes
        guard let teacher, kind != .none, let length = contexts.first?.count else {
            answers = nil
            return
        }
        let (kind, classes) = (kind, classes)
        let words = length * (kind == .logits ? 2 * classes + 1 : teacher.hidden)
        let output = OutputLoss(teacher, threads: threads)
        answers = try TeacherAnswers(contexts, words: words, kept: kept, threads: threads, progress: progress) {
            (range) throws(CheckpointError) in
            let pass = try ForwardPass(
                teacher, contexts: Array(contexts[range]), precision: .f32, threads: threads,
                observer: FiniteStates(teacher, contextLength: length, firstContext: range.lowerBound))
            while pass.layer < teacher.layerCount { try pass.advance() }
            var rows: [Float] = []
            rows.reserveCapacity(range.count * words)
            for index in range.indices {
                let start = (index - range.lowerBound) * length, tokens = Array(start..<start + length)
                if kind == .stream {
                    rows += try output.normedStates(rows: tokens, states: pass.states)
                    continue
                }
                let found = try output.likeliest(classes, rows: tokens, states: pass.states)
                rows += found.tokens.map { Float(bitPattern: UInt32(bitPattern: $0)) }
                rows += found.probabilities + found.rests
            }
            return rows
        }
    }

    /// The loss of some contexts, summed over their tokens, and the number of tokens that it is over.
    ///
    /// - Parameters:
    ///   - states: the stream after the last layer, [tokens, hidden].
    ///   - gradient: what `factor` times the gradient is added to; `nil` when it is not wanted.
    func loss(
        of indices: [Int], _ output: OutputLoss, states: UnsafePointer<Float>,
        gradient: UnsafeMutablePointer<Float>?, factor: Double
    ) throws(CheckpointError) -> Double {
        let length = contexts[0].count
        switch kind {
        case .none:
            let following = TokenClasses(following: indices.map { contexts[$0] })
            return try output.divergence(from: following, states: states, gradient: gradient, factor: factor)
        case .logits:
            return try output.divergence(from: classes(of: indices), states: states, gradient: gradient, factor: factor)
        case .stream:
            let teacher = try values(of: indices)
            return try output.distance(
                from: teacher.floats, rows: indices.count * length, states: states, gradient: gradient, factor: factor)
        }
    }

    /// How many tokens of a context have a target.
    var tokensPerContext: Int { max(0, (contexts.first?.count ?? 0) - (kind == .none ? 1 : 0)) }

    private func classes(of indices: [Int]) throws(CheckpointError) -> TokenClasses {
        let length = contexts[0].count, count = length * classes
        var tokens: [Int32] = [], probabilities: [Float] = [], rests: [Float] = []
        for index in indices {
            let row = try values(of: [index])
            tokens += UnsafeBufferPointer(start: row.words, count: count).map { Int32(bitPattern: $0) }
            probabilities += UnsafeBufferPointer(start: row.floats + count, count: count)
            rests += UnsafeBufferPointer(start: row.floats + 2 * count, count: length)
        }
        return TokenClasses(
            rows: Array(0..<indices.count * length), count: classes, tokens: tokens, probabilities: probabilities,
            rests: rests)
    }

    private func values(of indices: [Int]) throws(CheckpointError) -> Scratch {
        guard let answers else { preconditionFailure("no answers of a teacher are kept") }
        return try answers.rows(of: indices)
    }
}
