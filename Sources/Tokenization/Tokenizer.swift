package import Checkpoints
internal import Formats
@_spi(_Unicode) internal import Swift

/// Byte-level byte-pair encoding over a vocabulary, with the results of Hugging Face's tokenizers.
package struct Tokenizer: Sendable {
    /// The vocabulary.
    package let vocabulary: Vocabulary
    /// The token that begins every text; `nil` when none does.
    package let beginning: Int32?
    /// The token that ends every text; `nil` when none does.
    package let end: Int32?
    private let splitter: WordSplitter
    private let merger: BytePairMerger
    private let composes: Bool
    /// Added tokens that are looked for in the text as it is, and in its composed form.
    private let rawTokens: AddedTokenMatcher
    private let composedTokens: AddedTokenMatcher

    /// A tokenizer of a vocabulary.
    ///
    /// - Throws: when resect does not know how the vocabulary cuts words.
    package init(_ vocabulary: Vocabulary) throws(CheckpointError) {
        guard let preTokenizer = PreTokenizer.named(vocabulary.preTokenizer) else {
            throw CheckpointError("resect does not know the pre-tokenizer '\(vocabulary.preTokenizer)'")
        }
        if vocabulary.addsSpacePrefix == true {
            throw CheckpointError(
                "the tokenizer puts a space before every text (add_prefix_space), which resect does not do")
        }
        self.vocabulary = vocabulary
        beginning = vocabulary.addsBeginning == true ? vocabulary.beginningID.flatMap(Int32.init(exactly:)) : nil
        end = vocabulary.addsEnd == true ? vocabulary.endID.flatMap(Int32.init(exactly:)) : nil
        splitter = WordSplitter(preTokenizer)
        merger = try BytePairMerger(vocabulary)
        composes = preTokenizer.composes
        rawTokens = AddedTokenMatcher(vocabulary.addedTokens.filter { !$0.normalized })
        composedTokens = AddedTokenMatcher(
            vocabulary.addedTokens.filter(\.normalized), form: composes ? Tokenizer.composed : { $0 })
    }

    /// The tokens of a text, with those that begin and end it.
    ///
    /// - Parameters:
    ///   - text: UTF-8, checked before.
    ///   - limit: the maximum number of tokens; the rest of a long text is not read.
    package func encode(_ text: UnsafeRawBufferPointer, limit: Int = .max) -> [Int32] {
        var output = TokenOutput(limit: limit, cache: merger.newCache())
        if let beginning { output.ids.append(beginning) }
        rawTokens.split(text) { part in
            switch part {
            case .token(let id): output.ids.append(Int32(id))
            case .text(let range):
                normalized(UnsafeRawBufferPointer(rebasing: text[range])) { encodeComposed($0, &output) }
            }
            return !output.isFull
        }
        if output.ids.count > limit { output.ids.removeLast(output.ids.count - limit) }
        if let end, output.ids.count < limit { output.ids.append(end) }
        return output.ids
    }

    /// The tokens of a text.
    package func encode(_ text: String) -> [Int32] {
        var text = text
        return text.withUTF8 { encode(UnsafeRawBufferPointer($0)) }
    }

    private func encodeComposed(_ text: UnsafeRawBufferPointer, _ output: inout TokenOutput) {
        composedTokens.split(text) { part in
            switch part {
            case .token(let id): output.ids.append(Int32(id))
            case .text(let range):
                splitter.split(UnsafeRawBufferPointer(rebasing: text[range])) { word in
                    merger.encode(word, into: &output)
                    return !output.isFull
                }
            }
            return !output.isFull
        }
    }

    /// Calls `body` with the text in Unicode's composed form where the tokenizer wants it so.
    private func normalized(
        _ text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        // Below U+0300, whose first byte is 0xCC, every text is composed already.
        guard composes, text.contains(where: { $0 >= 0xCC }) else { return body(text) }
        var composed = Tokenizer.composed(String(decoding: text, as: UTF8.self))
        composed.withUTF8 { body(UnsafeRawBufferPointer($0)) }
    }

    private static func composed(_ text: String) -> String {
        var composed = String.UnicodeScalarView()
        for scalar in text._nfc { composed.append(scalar) }
        return String(composed)
    }
}

/// What has been encoded so far, and the words that were met before.
struct TokenOutput {
    var ids: [Int32] = []
    let limit: Int
    var cache: BytePairMerger.Cache

    init(limit: Int, cache: BytePairMerger.Cache) {
        self.limit = limit
        self.cache = cache
    }

    var isFull: Bool { ids.count >= limit }
}
