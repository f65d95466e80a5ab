public import Analysis
public import Checkpoints
internal import Decoder
internal import Tokenization

/// Text of several kinds for healing, split into parts that share nothing.
///
/// A heal fitted on one kind of text gains much less on others. So every source is a kind of text; the kinds are mixed
/// evenly, and with three kinds or more one of them is held out for choosing.
public struct HealingText: Sendable {
    /// Contexts that rank the layers.
    public let ranking: TextPart
    /// Contexts that weights are fitted on.
    public let fitting: TextPart
    /// Contexts that adapters are trained on: those that are fitted, and more where more are wanted.
    public let training: TextPart
    /// Contexts that choose: between candidates, ridges, and whether a layer's correction stays.
    public let choosing: TextPart
    /// Contexts for reports only: documents of resect's own text that are never ranked, fitted or chosen with.
    public let judging: TextPart
    /// The kind that only `choosing` has; `nil` with fewer than three kinds.
    public let heldOut: String?
    /// What the user should know about the text, one sentence each.
    public let notes: [String]

    /// How many contexts each part should have.
    public struct Sizes: Sendable {
        /// Contexts to rank the layers; 0 when nothing is ranked.
        public var ranking = 16
        /// Contexts to fit.
        public var fitting = 192
        /// Contexts to train on, those to fit among them; 0 when nothing is trained.
        public var training = 0
        /// Contexts to choose.
        public var choosing = 16
        /// Contexts of each kind to judge.
        public var judging = 16

        /// The default sizes with another number of contexts to fit.
        public init(fitting: Int = 192) { self.fitting = fitting }

        /// Contexts that change weights.
        var changing: Int { max(fitting, training) }
    }

    /// Reads and tokenizes texts, and splits them.
    ///
    /// Text that occurs twice, in one file or in several, is used once. The same sources, sizes and seed give the same
    /// parts.
    ///
    /// - Parameters:
    ///   - sources: each is a kind of text, and `builtin` is several.
    ///   - checkpoint: the model whose tokenizer is used.
    ///   - contextLength: tokens in a context, at least 2.
    ///   - sizes: the contexts wanted; when the text is too short every part gets fewer, and a note says so.
    ///   - seed: decides which contexts are taken, and their order.
    /// - Throws: when the model cannot be run, or a source is missing, is not UTF-8 text or is too short.
    public init(
        sources: [TextSource], for checkpoint: Checkpoint, contextLength: Int = 512, sizes: Sizes = Sizes(),
        seed: UInt64 = 0
    ) throws(CheckpointError) {
        guard contextLength >= 2 else {
            throw CheckpointError("a context of \(contextLength) tokens is too short; the least is 2")
        }
        guard sizes.fitting > 0, sizes.choosing > 0 else {
            throw CheckpointError("the number of samples must be at least 1")
        }
        guard !sources.isEmpty else { throw CheckpointError("no text is given to heal with") }
        for (index, source) in sources.enumerated() where sources[..<index].contains(source) {
            throw CheckpointError(file: source.name, "is given twice as text to heal with")
        }
        _ = try DecoderModel(checkpoint)
        let tokenizer = try Corpus.tokenizer(of: checkpoint)
        let wanted = TextReader.clamped(
            sizes.changing, sizes.choosing, max(0, sizes.ranking), times: contextLength)
        var reader = TextReader(tokenizer: tokenizer, contextLength: contextLength, wantedTokens: wanted)
        // What judges is read first, so that the same text in a source is left out there.
        var judged: [KindOfText] = []
        for kind in BuiltinText.kinds(judging: true) { judged.append(try reader.read(kind)) }
        judged.removeAll { $0.contexts.isEmpty }
        var kinds: [KindOfText] = []
        for source in sources {
            for kind in try TextKind.kinds(of: source) { kinds.append(try reader.read(kind)) }
        }
        var notes = reader.notes
        let short = kinds.filter(\.contexts.isEmpty)
        kinds.removeAll { $0.contexts.isEmpty }
        if kinds.isEmpty, let first = short.first {
            throw CheckpointError(
                file: first.name,
                "has \(first.tokenCount.grouped) tokens, less than one context of \(contextLength.grouped)",
                hint: "take a longer text, or a smaller --context")
        }
        notes += short.map {
            "\($0.name) has \($0.tokenCount.grouped) tokens, less than one context, and is not used"
        }
        let heldOut = TextSplit.heldOut(kinds, choosing: sizes.choosing)
        guard
            let split = TextSplit(
                counts: kinds.map(\.contexts.count), heldOut: heldOut, sizes: sizes, seed: seed)
        else {
            let count = kinds.reduce(0) { $0 + $1.contexts.count }
            throw CheckpointError(
                file: kinds[0].name,
                "the texts fill \(count) \(count == 1 ? "context" : "contexts") of \(contextLength.grouped) tokens; "
                    + (sizes.ranking > 0
                        ? "fitting, choosing and ranking need one each" : "fitting and choosing need one each"),
                hint: "take a longer text, a smaller --context, or --corpus builtin beside it")
        }
        let fitted = Array(split.changing.prefix(sizes.fitting))
        if fitted.count < sizes.fitting {
            notes.append(
                "fits on \(fitted.count.grouped) contexts instead of \(sizes.fitting.grouped): the texts are too short "
                    + "for more")
        }
        if kinds.count == 1 {
            notes.append(
                "all text is of one kind; on other text the heal will gain much less: give --corpus again with another "
                    + "kind, or --corpus builtin")
        }
        if let heldOut {
            notes.append("\(kinds[heldOut].name) is held out for choosing; nothing is fitted on it")
            if split.choosing.count < sizes.choosing {
                notes.append(
                    "chooses on \(split.choosing.count.grouped) contexts instead of \(sizes.choosing.grouped): "
                        + "\(kinds[heldOut].name) has no more")
            }
        }
        func part(_ name: String, _ places: [TextSplit.Place]) -> TextPart {
            TextPart(
                name: name, kinds: kinds, places: places, contextLength: contextLength, beginning: tokenizer.beginning)
        }
        ranking = part("the text for ranking", split.ranking)
        fitting = part("the text for fitting", fitted)
        training = part("the text for training", sizes.training > 0 ? split.changing : [])
        choosing = part("the text for choosing", split.choosing)
        let judgingCounts = judged.map { min($0.contexts.count, max(0, sizes.judging)) }
        judging = TextPart(
            name: "the text for judging", kinds: judged, places: TextSplit.inTurn(judgingCounts.map { Array(0..<$0) }),
            contextLength: contextLength, beginning: tokenizer.beginning)
        self.heldOut = heldOut.map { kinds[$0].name }
        self.notes = notes
    }
}

/// One part of the text for healing.
public struct TextPart: Sendable {
    /// All contexts, the kinds in turn; it may have none.
    public let corpus: Corpus
    /// The contexts of each kind by themselves, without kinds that have none here.
    public let kinds: [(name: String, corpus: Corpus)]

    init(name: String, kinds: [KindOfText], places: [TextSplit.Place], contextLength: Int, beginning: Int32?) {
        func corpus(_ path: String, _ places: [TextSplit.Place]) -> Corpus {
            Corpus(
                path: path, contextLength: contextLength, contexts: places.map { kinds[$0.kind].contexts[$0.context] },
                beginning: beginning)
        }
        self.corpus = corpus(name, places)
        self.kinds = kinds.indices.compactMap { index in
            let own = places.filter { $0.kind == index }
            return own.isEmpty ? nil : (kinds[index].name, corpus(kinds[index].name, own))
        }
    }
}
