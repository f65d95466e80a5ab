public import Checkpoints
internal import Decoder
internal import Tokenization

/// What a model writes after some prompts from a corpus when it always takes the most likely token.
///
/// Two models are compared by how many of these tokens are the same.
public struct GreedyAnswers: Sendable {
    /// A prompt and its continuation.
    public struct Answer: Sendable {
        /// The text of the prompt.
        public let prompt: String
        /// The tokens of the answer, with those after a token that ends a text.
        public let tokens: [Int32]
        /// The text of the answer, up to a token that ends it.
        public let text: String
    }

    /// The answers, in the order of the prompts in the corpus.
    public let answers: [Answer]

    /// The share of tokens that are the same as in the answers of another model to the same prompts.
    ///
    /// Each model continues its own answer, so tokens after the first difference are often different too.
    ///
    /// - Precondition: both are answers to the same prompts, of the same length.
    public func agreement(with other: GreedyAnswers) -> Double {
        precondition(other.answers.map(\.tokens.count) == answers.map(\.tokens.count), "answers to other prompts")
        let pairs = zip(answers, other.answers).flatMap { zip($0.tokens, $1.tokens) }
        return Double(pairs.count { $0 == $1 }) / Double(max(1, pairs.count))
    }

    /// Continues prompts, which are the beginnings of contexts spread over the corpus. All are continued together.
    ///
    /// - Parameters:
    ///   - checkpoint: the model, with weights that can be run; it may be an edit that has not been written.
    ///   - corpus: the text that prompts are taken from.
    ///   - count: how many prompts, 1 to 256; fewer where the corpus has fewer contexts.
    ///   - promptLength: tokens of a prompt; fewer where contexts are shorter.
    ///   - length: tokens of an answer.
    ///   - run: how the model is run.
    ///   - progress: called with the tokens done and the tokens in all.
    /// - Throws: when resect cannot run the model, there is no prompt, or it computes NaN or infinity.
    public static func write(
        _ checkpoint: Checkpoint, corpus: Corpus, count: Int = 8, promptLength: Int = 64, length: Int = 32,
        run: RunOptions, progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> GreedyAnswers {
        guard 1...256 ~= count, promptLength > 0, length > 0 else {
            throw CheckpointError("1 to 256 prompts of at least one token get answers of at least one")
        }
        let model = try DecoderModel(checkpoint)
        let vocabulary = try Corpus.tokenizer(of: checkpoint).vocabulary
        let contexts = corpus.inputs
        guard !contexts.isEmpty else {
            throw CheckpointError(file: corpus.path, "has no context to take a prompt from")
        }
        let some = min(count, contexts.count)
        let prompts = (0..<some).map { Array(contexts[$0 * contexts.count / some].prefix(promptLength)) }
        let pass = IncrementalPass(
            model, sequences: some, precision: run.decoderPrecision, threads: run.threads)
        try pass.append(prompts, room: prompts[0].count + length)
        var sampler = Sampler()
        var tokens = prompts.map { _ in [Int32]() }
        for done in 1...length {
            let next = (0..<some).map { sampler.next(pass.logits(of: $0)) }
            for (index, token) in next.enumerated() { tokens[index].append(token) }
            progress?(done, length)
            if done < length { try pass.append(next.map { [$0] }) }
        }
        let (detokenizer, ends) = (Detokenizer(vocabulary), vocabulary.endTokens(isGGUF: checkpoint.form == .gguf))
        return GreedyAnswers(
            answers: zip(prompts, tokens).map { prompt, tokens in
                Answer(
                    prompt: detokenizer.text(of: prompt, begins: true), tokens: tokens,
                    text: detokenizer.text(of: Array(tokens.prefix { !ends.contains($0) })))
            })
    }
}
