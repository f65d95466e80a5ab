internal import Checkpoints
internal import Formats

/// Cuts a word into the tokens whose scores, logarithms of probabilities, have the largest sum (Viterbi).
struct UnigramModel: Sendable {
    private let trie: TokenTrie
    private let scores: [Double]
    private let unknown: Int32?
    private let unknownScore: Double
    private let ids: [ExactString: Int32]
    /// The token of each byte, where bytes stand for unknown characters.
    private let bytes: [Int32]?

    /// An unknown character scores this much less than the rarest token, as in SentencePiece.
    private static let unknownPenalty = 10.0
    private static let longestWord = 1 << 16

    init(_ vocabulary: Vocabulary) throws(CheckpointError) {
        var trie = TokenTrie()
        var ids: [ExactString: Int32] = [:]
        var least = Double.infinity
        for (id, token) in vocabulary.tokens.enumerated() where vocabulary.scores.indices.contains(id) {
            let kind = vocabulary.kinds[id]
            if kind == .normal { least = min(least, Double(vocabulary.scores[id])) }
            guard !vocabulary.isPlaceholder(id) else { continue }
            ids[ExactString(token)] = Int32(id)
            if kind != .control, kind != .unknown, kind != .byte { trie.insert(token.utf8, Int32(id)) }
        }
        guard least < .infinity else { throw CheckpointError("the unigram model of the tokenizer has no tokens") }
        scores = vocabulary.scores.map(Double.init)
        self.trie = trie
        unknown = vocabulary.unknownSymbolID.map { Int32($0) }
        unknownScore = least - UnigramModel.unknownPenalty
        self.ids = ids
        let known = (0..<256).map { byte -> Int32 in
            let digits = String(byte, radix: 16, uppercase: true)
            return ids[ExactString("<0x" + (digits.count < 2 ? "0" : "") + digits + ">")] ?? -1
        }
        bytes = vocabulary.fallsBackToBytes && !known.contains(-1) ? known : nil
    }

    /// Appends the tokens of a word.
    func encode(_ word: UnsafeRawBufferPointer, into output: inout TokenOutput) {
        if word.count <= WordCache.longestWord {
            guard let hash = output.cache.append(word, to: &output.ids) else { return }
            let start = output.ids.count
            append(word, to: &output.ids)
            output.cache.insert(word, hash: hash, output.ids[start...])
            return
        }
        var start = 0
        while start < word.count, !output.isFull {
            var end = min(start + UnigramModel.longestWord, word.count)
            while end < word.count, word[end] & 0xC0 == 0x80 { end -= 1 }
            append(UnsafeRawBufferPointer(rebasing: word[start..<end]), to: &output.ids)
            start = end
        }
    }

    /// The best segmentation of the text before a position: its last token, -1 for an unknown character, and where that starts.
    private struct Step {
        var score = -Double.infinity
        var start = -1
        var token: Int32 = -1
    }

    private func append(_ word: UnsafeRawBufferPointer, to output: inout [Int32]) {
        guard word.count > 0 else { return }
        var steps = Array(repeating: Step(), count: word.count + 1)
        steps[0].score = 0
        var position = 0
        while position < word.count {
            let count = CharacterClass.scalar(at: position, in: word).byteCount
            let score = steps[position].score
            var hasCharacter = false
            trie.forEach(in: word, at: position) { token, end in
                let sum = score + scores[Int(token)]
                if steps[end].start < 0 || sum > steps[end].score {
                    steps[end] = Step(score: sum, start: position, token: token)
                }
                hasCharacter = hasCharacter || end == position + count
            }
            let end = position + count
            if !hasCharacter, steps[end].start < 0 || score + unknownScore > steps[end].score {
                steps[end] = Step(score: score + unknownScore, start: position, token: -1)
            }
            position = end
        }
        var path: [(range: Range<Int>, token: Int32)] = []
        var end = word.count
        while end > 0 {
            let step = steps[end]
            // Neighbouring unknown characters are joined.
            if step.token < 0, let last = path.last, last.token < 0 {
                path[path.count - 1].range = step.start..<last.range.upperBound
            } else {
                path.append((step.start..<end, step.token))
            }
            end = step.start
        }
        for (range, token) in path.reversed() {
            if token >= 0 {
                output.append(token)
            } else {
                appendUnknown(UnsafeRawBufferPointer(rebasing: word[range]), to: &output)
            }
        }
    }

    /// Unknown characters that are together a token become it, else their bytes or the unknown token.
    private func appendUnknown(_ text: UnsafeRawBufferPointer, to output: inout [Int32]) {
        if let id = ids[ExactString(String(decoding: text, as: UTF8.self))] {
            output.append(id)
        } else if let bytes {
            for byte in text { output.append(bytes[Int(byte)]) }
        } else if let unknown {
            output.append(unknown)
        }
    }
}
