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
    }

    /// Continues a text. The tokens do not depend on the number of threads.
    ///
    /// - Parameters:
    ///   - checkpoint: the model, with weights that can be run; it may be an edit that has not been written.
    ///   - prompt: the text; names of special tokens in it become these tokens.
    ///   - options: how tokens are chosen, and how many.
    ///   - run: how the model is run.
    ///   - output: called with each piece of the new text, which is whole characters.
    /// - Throws: when resect cannot run the model, it computes NaN or infinity, or an empty prompt has no token to begin with.
    public static func run(
        _ checkpoint: Checkpoint, prompt: String, options: Options = Options(), run: RunOptions,
        output: (String) -> Void = { _ in }
    ) throws(CheckpointError) -> Generation {
        let model = try DecoderModel(checkpoint)
        let tokenizer = try Corpus.tokenizer(of: checkpoint)
        let ids = try self.prompt(prompt, tokenizer, checkpoint)
        let pass = IncrementalPass(model, precision: run.decoderPrecision, threads: run.threads)
        let ends = tokenizer.vocabulary.endTokens
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
    var endTokens: Set<Int32> { Set(([endID].compactMap(\.self) + otherEndIDs).compactMap(Int32.init(exactly:))) }
}

extension Duration {
    /// Seconds with their fraction.
    fileprivate var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
