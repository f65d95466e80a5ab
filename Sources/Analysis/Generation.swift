public import Checkpoints
internal import Decoder
internal import Tokenization

/// The continuation of a text by a model.
public struct Generation: Sendable {
    /// How many tokens the prompt has, with the BOS token where the tokenizer adds one.
    public let promptCount: Int
    /// The new tokens, without one that ends the text.
    public let tokens: [Int32]
    /// Their text.
    public let text: String
    /// Why there are no more tokens.
    public let ending: Ending
    /// How long the model ran over the prompt.
    public let promptSeconds: Double
    /// How long it ran over the new tokens.
    public let seconds: Double

    /// Why a text ends.
    public enum Ending: String, Sendable {
        /// The model chose a token that ends a text or a turn.
        case end
        /// As many tokens as were asked for.
        case limit
        /// The model has no position for another token.
        case context
    }

    /// How the next token is chosen, and how many there are.
    public struct Options: Sendable {
        /// The largest number of new tokens.
        public var tokens = 64
        /// What logits are divided by; 0 takes the most likely token.
        public var temperature = 0.0
        /// How many of the most likely tokens may be chosen; `nil` for all.
        public var topK: Int?
        /// The fewest most likely tokens whose probabilities add up to this may be chosen; `nil` for all.
        public var topP: Double?
        /// The seed of the random choice; the same seed gives the same tokens.
        public var seed: UInt64 = 0
        /// Whether control tokens appear in the text.
        public var showsSpecial = false

        /// At most 64 tokens, each the most likely one.
        public init() {}

        func check() throws(CheckpointError) {
            guard temperature >= 0, temperature.isFinite else {
                throw CheckpointError("a temperature of \(temperature) is not a number of at least 0")
            }
            if let topK, topK < 1 { throw CheckpointError("a choice among the \(topK) most likely tokens has none") }
            if let topP, !(topP > 0) {
                throw CheckpointError("a choice among tokens of a probability of \(topP) has none")
            }
        }
    }

    /// Continues a text. The tokens do not depend on the number of threads.
    ///
    /// - Parameters:
    ///   - checkpoint: the model, with weights that can be run; it may be an edit that has not been written.
    ///   - prompt: the text; names of special tokens in it become these tokens.
    ///   - options: how tokens are chosen, and how many.
    ///   - run: how the model is run.
    ///   - output: called with each piece of the new text, which is whole characters.
    /// - Throws: when resect cannot run the model, an option leaves no token to choose, it computes NaN or infinity, or an empty prompt has no token to begin with.
    public static func run(
        _ checkpoint: Checkpoint, prompt: String, options: Options = Options(), run: RunOptions,
        output: (String) -> Void = { _ in }
    ) throws(CheckpointError) -> Generation {
        try options.check()
        let model = try DecoderModel(checkpoint)
        let tokenizer = try Corpus.tokenizer(of: checkpoint)
        let ids = try self.prompt(prompt, tokenizer, checkpoint)
        let pass = IncrementalPass(model, precision: run.decoderPrecision, threads: run.threads)
        let ends = tokenizer.vocabulary.endTokens(isGGUF: checkpoint.form == .gguf)
        var sampler = Sampler(
            temperature: options.temperature, topK: options.topK, topP: options.topP, seed: options.seed)
        var stream = TextStream(Detokenizer(tokenizer.vocabulary, skipsSpecial: !options.showsSpecial))
        var (tokens, text, ending) = ([Int32](), "", Ending.limit)
        func add(_ piece: String) {
            guard !piece.isEmpty else { return }
            text += piece
            output(piece)
        }
        let clock = ContinuousClock()
        let start = clock.now
        // Room is taken at once for short texts; for long ones it grows with the text.
        try pass.append([ids], room: ids.count + min(options.tokens, 1024))
        let middle = clock.now
        while tokens.count < options.tokens {
            let token = sampler.next(pass.logits())
            if ends.contains(token) {
                ending = .end
                break
            }
            tokens.append(token)
            add(stream.add(token))
            if let most = model.positionCount, ids.count + tokens.count > most {
                ending = .context
                break
            }
            if tokens.count < options.tokens { try pass.append([[token]]) }
        }
        add(stream.finish())
        return Generation(
            promptCount: ids.count, tokens: tokens, text: text, ending: ending,
            promptSeconds: (middle - start).inSeconds, seconds: (clock.now - middle).inSeconds)
    }

    /// The tokens of a prompt, without the EOS token that a tokenizer may add; for an empty prompt the BOS token.
    private static func prompt(
        _ prompt: String, _ tokenizer: Tokenizer, _ checkpoint: Checkpoint
    ) throws(CheckpointError) -> [Int32] {
        var ids = tokenizer.encode(prompt)
        if let end = tokenizer.end, ids.last == end { ids.removeLast() }
        if !ids.isEmpty { return ids }
        guard let beginning = tokenizer.vocabulary.beginningID.flatMap(Int32.init(exactly:)) else {
            throw CheckpointError(
                file: checkpoint.path, "has no token that begins a text, and the prompt is empty",
                hint: "give at least one word")
        }
        return [beginning]
    }
}

extension Vocabulary {
    /// The tokens that end a text or a turn.
    ///
    /// - Parameter isGGUF: whether the model comes from GGUF, whose metadata often name one token alone. llama.cpp finds the
    ///   others by their text.
    func endTokens(isGGUF: Bool) -> Set<Int32> {
        var result = [endID].compactMap(\.self) + otherEndIDs
        if isGGUF { result += tokens.indices.filter { Vocabulary.endings.contains(tokens[$0]) } }
        return Set(result.compactMap(Int32.init(exactly:)))
    }

    private static let endings: Set = [
        "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>", "<|calls|>", "<end_of_turn>",
        "<|endoftext|>", "</s>", "<|eom_id|>", "<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>",
        "<end_of_utterance>", "<eos>", "<turn|>", "<|tool_response>",
        "<\u{FF5C}end\u{2581}of\u{2581}sentence\u{FF5C}>", "[e~[",
    ]
}

extension Duration {
    /// Seconds with their fraction.
    fileprivate var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
