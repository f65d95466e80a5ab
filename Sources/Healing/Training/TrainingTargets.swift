internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Weights

/// What the adapted model is to reproduce for some contexts: made once, and kept in a file without a name.
struct TrainingTargets {
    /// The tokens of each context, as the model reads them.
    let contexts: [[Int32]]
    private let kind: TrainingSettings.Teacher
    private let classes: Int
    /// A row for each context; `nil` where the text itself is the target.
    private let kept: Tensor?

    /// Contexts whose targets are made together.
    private static let contextsAtOnce = 16

    /// Makes the targets.
    ///
    /// - Parameters:
    ///   - teacher: the whole model.
    ///   - progress: called with the number of contexts that are done.
    init(
        _ contexts: [[Int32]], _ settings: TrainingSettings, teacher: DecoderModel?, threads: Int,
        progress: (_ done: Int) -> Void
    ) throws(CheckpointError) {
        self.contexts = contexts
        kind = settings.teacher
        classes = settings.classes
        guard let teacher, kind != .none, let length = contexts.first?.count else {
            kept = nil
            return
        }
        let words = length * (kind == .logits ? 2 * classes + 1 : teacher.hidden)
        var file = try UnnamedFile(name: "the teacher's answers")
        let output = OutputLoss(teacher, threads: threads)
        for start in stride(from: 0, to: contexts.count, by: TrainingTargets.contextsAtOnce) {
            let some = Array(contexts[start..<min(start + TrainingTargets.contextsAtOnce, contexts.count)])
            let pass = try ForwardPass(
                teacher, contexts: some, precision: .f32, threads: threads,
                observer: FiniteStates(teacher, contextLength: length, firstContext: start))
            while pass.layer < teacher.layerCount { try pass.advance() }
            for index in some.indices {
                let rows = Array(index * length..<(index + 1) * length)
                if kind == .stream {
                    try file.append(output.normedStates(rows: rows, states: pass.states))
                    continue
                }
                let found = try output.likeliest(classes, rows: rows, states: pass.states)
                try file.append(found.tokens.map { Float(bitPattern: UInt32(bitPattern: $0)) })
                try file.append(found.probabilities)
                try file.append(found.rests)
            }
            progress(start + some.count)
        }
        let size = file.byteCount
        let (mapped, recipes) = try file.mapped([0..<size])
        kept = Tensor(name: mapped.name, dtype: .f32, shape: [contexts.count, words], recipe: recipes[0])
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
        guard let kept else { preconditionFailure("no answers of a teacher are kept") }
        let result = Scratch(floats: indices.count * kept.rowLength)
        for (place, index) in indices.enumerated() {
            try kept.withBytes(rows: index..<index + 1) { bytes in
                UnsafeMutableRawBufferPointer(start: result.base + place * bytes.count, count: bytes.count)
                    .copyMemory(from: bytes)
            }
        }
        return result
    }
}

extension UnnamedFile {
    fileprivate mutating func append(_ values: [Float]) throws(CheckpointError) {
        let result: Result<Void, CheckpointError> = values.withUnsafeBytes { bytes in
            do throws(CheckpointError) { return .success(try append(bytes)) } catch { return .failure(error) }
        }
        try result.get()
    }
}
