package import Checkpoints
internal import Formats
internal import Parallel

/// Turns text into tokens. The results are those of Hugging Face's tokenizers for a folder and, for SentencePiece
/// vocabularies in a GGUF file, those of llama.cpp.
package struct Tokenizer: Sendable {
    /// The vocabulary.
    package let vocabulary: Vocabulary
    /// The BOS token that begins every text; `nil` when none does.
    package let beginning: Int32?
    /// The EOS token that ends every text; `nil` when none does.
    package let end: Int32?
    private let cutter: Cutter
    private let model: Model
    private let normalizer: TextNormalizer
    /// Added tokens that are looked for in the text as it is, and in its normalized form.
    private let rawTokens: AddedTokenMatcher
    private let normalizedTokens: AddedTokenMatcher

    private enum Cutter: Sendable {
        case words(WordSplitter)
        case symbols(SymbolSplitter)
    }

    private enum Model: Sendable {
        case pairs(BytePairMerger)
        case unigram(UnigramModel)
    }

    /// A tokenizer of a vocabulary.
    ///
    /// - Throws: when resect does not know the pre-tokenizer, or the vocabulary is malformed.
    package init(_ vocabulary: Vocabulary) throws(CheckpointError) {
        if vocabulary.model == .byteLevelBPE {
            guard let preTokenizer = PreTokenizer.named(vocabulary.preTokenizer) else {
                throw CheckpointError("resect does not know the pre-tokenizer '\(vocabulary.preTokenizer)'")
            }
            if vocabulary.addsSpacePrefix == true {
                throw CheckpointError(
                    "the tokenizer puts a space before every text (add_prefix_space), which resect does not do")
            }
            cutter = .words(WordSplitter(preTokenizer.pattern))
        } else {
            cutter = .symbols(SymbolSplitter(vocabulary))
        }
        self.vocabulary = vocabulary
        beginning = vocabulary.addsBeginning == true ? vocabulary.beginningID.flatMap(Int32.init(exactly:)) : nil
        end = vocabulary.addsEnd == true ? vocabulary.endID.flatMap(Int32.init(exactly:)) : nil
        model =
            vocabulary.model == .unigram
            ? .unigram(try UnigramModel(vocabulary)) : .pairs(try BytePairMerger(vocabulary))
        let normalizer = try TextNormalizer(vocabulary.normalizations)
        self.normalizer = normalizer
        rawTokens = AddedTokenMatcher(vocabulary.addedTokens.filter { !$0.normalized })
        normalizedTokens = AddedTokenMatcher(
            vocabulary.addedTokens.filter(\.normalized), form: normalizer.applied(to:))
    }

    /// The tokens of a text, with those that begin and end it.
    ///
    /// - Parameters:
    ///   - text: UTF-8, checked before.
    ///   - limit: the maximum number of tokens; the rest of a long text is not read.
    ///   - threads: how many threads may work on a long text.
    package func encode(_ text: UnsafeRawBufferPointer, limit: Int = .max, threads: Int = 1) -> [Int32] {
        var ids: [Int32] = beginning.map { [$0] } ?? []
        let parts = limit == .max && threads > 1 ? parts(of: text) : [0..<text.count]
        if parts.count == 1 {
            var output = TokenOutput(limit: limit)
            swap(&output.ids, &ids)
            encode(text, continues: false, &output)
            swap(&output.ids, &ids)
        } else {
            nonisolated(unsafe) let bytes = text
            // Each worker keeps its cache of words from one part to the next.
            nonisolated(unsafe) let caches = (0..<threads).map { _ in WordCache() }
            let found = Parallel.map(parts.count, workers: threads) { index, worker in
                var output = TokenOutput(limit: .max, cache: caches[worker])
                encode(UnsafeRawBufferPointer(rebasing: bytes[parts[index]]), continues: index > 0, &output)
                return output.ids
            }
            ids.reserveCapacity(found.reduce(ids.count) { $0 + $1.count } + 1)
            for part in found { ids += part }
        }
        if ids.count > limit { ids.removeLast(ids.count - limit) }
        if let end, ids.count < limit { ids.append(end) }
        return ids
    }

    /// The tokens of a text.
    package func encode(_ text: String) -> [Int32] {
        var text = text
        return text.withUTF8 { encode(UnsafeRawBufferPointer($0)) }
    }

    private func encode(_ text: UnsafeRawBufferPointer, continues: Bool, _ output: inout TokenOutput) {
        rawTokens.split(text) { part in
            switch part {
            case .token(let id): output.ids.append(Int32(id))
            case .text(let range):
                let isStart = range.lowerBound == 0
                normalizer.apply(UnsafeRawBufferPointer(rebasing: text[range]), continues: continues && isStart) {
                    encodeNormalized($0, isFirst: isStart && !continues, continues: continues && isStart, &output)
                }
            }
            return !output.isFull
        }
    }

    private func encodeNormalized(
        _ text: UnsafeRawBufferPointer, isFirst: Bool, continues: Bool, _ output: inout TokenOutput
    ) {
        normalizedTokens.split(text) { part in
            switch part {
            case .token(let id): output.ids.append(Int32(id))
            case .text(let range):
                let isStart = range.lowerBound == 0
                cut(
                    UnsafeRawBufferPointer(rebasing: text[range]), isFirst: isFirst && isStart,
                    continues: continues && isStart
                ) { word in
                    switch model {
                    case .pairs(let merger): merger.encode(word, into: &output)
                    case .unigram(let unigram): unigram.encode(word, into: &output)
                    }
                    return !output.isFull
                }
            }
            return !output.isFull
        }
    }

    private func cut(
        _ text: UnsafeRawBufferPointer, isFirst: Bool, continues: Bool, _ body: (UnsafeRawBufferPointer) -> Bool
    ) {
        switch cutter {
        case .words(let splitter): splitter.split(text, body)
        case .symbols(let splitter): splitter.split(text, isFirst: isFirst, continues: continues, body)
        }
    }
}

extension Tokenizer {
    private static let partByteCount = 1 << 20

    /// Cuts a long text where its tokens do not depend on each other: before a space between two ASCII letters.
    private func parts(of text: UnsafeRawBufferPointer) -> [Range<Int>] {
        guard text.count > 2 * Tokenizer.partByteCount, canCut else { return [0..<text.count] }
        func isLetter(_ byte: UInt8) -> Bool { 0x61...0x7A ~= byte | 0x20 }
        var parts: [Range<Int>] = []
        var start = 0
        var index = Tokenizer.partByteCount
        while index < text.count - 1 {
            if text[index] == 0x20, isLetter(text[index - 1]), isLetter(text[index + 1]) {
                parts.append(start..<index)
                start = index
                index += Tokenizer.partByteCount
            } else {
                index += 1
            }
        }
        return parts + [start..<text.count]
    }

    /// Whether no token and no normalization spans the place before a space between two ASCII letters.
    private var canCut: Bool {
        let hasOther = vocabulary.normalizations.contains { step in
            switch step {
            case .composed, .decomposed, .compatibilityComposed, .compatibilityDecomposed, .lowercase, .prepend,
                .replaceRuns:
                false
            case .replace(let pattern, _): pattern != " "
            case .strip, .charsmap, .collapseSpaces: true
            }
        }
        if hasOther { return false }
        if case .symbols(let splitter) = cutter, !splitter.cutsAfterLetters { return false }
        func isLetter(_ byte: UInt8) -> Bool { 0x61...0x7A ~= byte | 0x20 }
        return !vocabulary.addedTokens.contains { token in
            let bytes = Array(token.content.utf8)
            let hasSpace = bytes.indices.dropLast().contains {
                isLetter(bytes[$0]) && (bytes[$0 + 1] == 0x20 || bytes[$0 + 1] == 0xE2)
            }
            // A token that has to stand alone sees the letter before its space only where the text is not cut.
            let seesLetter = token.singleWord && bytes.first == 0x20
            return hasSpace || seesLetter || token.stripsRight && bytes.last.map(isLetter) == true
        }
    }
}

/// The tokens so far, and the cache of words.
struct TokenOutput {
    var ids: [Int32] = []
    let limit: Int
    let cache: WordCache

    init(limit: Int, cache: WordCache = WordCache()) {
        self.limit = limit
        self.cache = cache
    }

    var isFull: Bool { ids.count >= limit }
}
