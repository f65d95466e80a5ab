internal import Checkpoints
internal import Formats

/// Merges the bytes of a word into tokens, the merge of lowest rank first and among equals the leftmost.
struct BytePairMerger: Sendable {
    private struct Merge: Sendable {
        let rank: Int32
        let result: Int32
    }

    /// The tokens that a whole word may be; none where merges make them all.
    private let words: [ExactString: Int32]
    private let bytes: [Int32?]
    private let merges: [UInt64: Merge]

    /// The tokens of words that were met before; a text has few words, and long ones are not kept.
    typealias Cache = [[UInt8]: [Int32]]
    private static let longestCachedWord = 64
    private static let mostCachedWords = 1 << 16
    /// A longer run without a border is not a word of a text; it is merged in pieces to bound memory.
    private static let longestWord = 1 << 20

    init(_ vocabulary: Vocabulary) throws(CheckpointError) {
        var ids: [ExactString: Int32] = [:]
        ids.reserveCapacity(vocabulary.tokens.count)
        for (id, token) in vocabulary.tokens.enumerated() where vocabulary.kinds[id] == .normal {
            ids[ExactString(token)] = Int32(id)
        }
        words = vocabulary.ignoresMerges ? ids : [:]
        // Added tokens are not in the byte alphabet, so one with a single character must not replace a byte.
        for (id, token) in vocabulary.tokens.enumerated() where !vocabulary.isPlaceholder(id) {
            if ids[ExactString(token)] == nil { ids[ExactString(token)] = Int32(id) }
        }
        var merges: [UInt64: Merge] = [:]
        merges.reserveCapacity(vocabulary.merges.count)
        for (rank, merge) in vocabulary.merges.enumerated() {
            guard let left = ids[ExactString(merge.left)], let right = ids[ExactString(merge.right)],
                let result = ids[ExactString(merge.left + merge.right)]
            else {
                throw CheckpointError(
                    "the merge '\(merge.left) \(merge.right)' names a token that the vocabulary does not have")
            }
            let key = BytePairMerger.key(left, right)
            if merges[key] == nil { merges[key] = Merge(rank: Int32(rank), result: result) }
        }
        self.merges = merges
        bytes = ByteAlphabet.characters.map { ids[ExactString(String(Character($0)))] }
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    func newCache() -> Cache { [:] }

    /// Appends the tokens of a word.
    func encode(_ word: UnsafeRawBufferPointer, into output: inout TokenOutput) {
        guard word.count <= BytePairMerger.longestCachedWord else {
            for start in stride(from: 0, to: word.count, by: BytePairMerger.longestWord) where !output.isFull {
                let end = min(start + BytePairMerger.longestWord, word.count)
                output.ids += encode(UnsafeRawBufferPointer(rebasing: word[start..<end]))
            }
            return
        }
        let key = Array(word)
        if let known = output.cache[key] {
            output.ids += known
            return
        }
        let found = encode(word)
        if output.cache.count < BytePairMerger.mostCachedWords { output.cache[key] = found }
        output.ids += found
    }

    private func encode(_ word: UnsafeRawBufferPointer) -> [Int32] {
        if !words.isEmpty, let whole = words[ExactString(ByteAlphabet.text(word))] { return [whole] }
        // Bytes that the vocabulary does not have vanish, as they do without an unknown token.
        var symbols = word.compactMap { bytes[Int($0)] }
        if symbols.count <= 32 {
            mergeShort(&symbols)
            return symbols
        }
        return mergeLong(symbols)
    }

    /// Looks at every pair for each merge: the fastest for words as they are.
    private func mergeShort(_ symbols: inout [Int32]) {
        while symbols.count > 1 {
            var best: (index: Int, merge: Merge)?
            for index in 0..<symbols.count - 1 {
                guard let merge = merges[BytePairMerger.key(symbols[index], symbols[index + 1])] else { continue }
                if merge.rank < best?.merge.rank ?? .max { best = (index, merge) }
            }
            guard let best else { return }
            symbols[best.index] = best.merge.result
            symbols.remove(at: best.index + 1)
        }
    }

    /// Keeps candidates in a heap: a word of a million spaces takes a second, not days.
    private func mergeLong(_ word: [Int32]) -> [Int32] {
        var symbols = word
        var next = Array(1...word.count)
        var previous = Array(-1..<word.count - 1)
        var alive = Array(repeating: true, count: word.count)
        var heap = MergeHeap()
        func candidate(_ left: Int, _ right: Int) -> MergeHeap.Candidate? {
            guard left >= 0, right < word.count,
                let merge = merges[BytePairMerger.key(symbols[left], symbols[right])]
            else { return nil }
            return .init(
                rank: merge.rank, position: Int32(left), left: symbols[left], right: symbols[right],
                result: merge.result)
        }
        for index in 0..<word.count - 1 { if let found = candidate(index, index + 1) { heap.push(found) } }
        while let top = heap.pop() {
            let left = Int(top.position)
            guard alive[left], symbols[left] == top.left, next[left] < word.count,
                symbols[next[left]] == top.right
            else { continue }
            let right = next[left]
            symbols[left] = top.result
            alive[right] = false
            next[left] = next[right]
            if next[left] < word.count { previous[next[left]] = left }
            if let found = candidate(previous[left], left) { heap.push(found) }
            if let found = candidate(left, next[left]) { heap.push(found) }
        }
        return word.indices.lazy.filter { alive[$0] }.map { symbols[$0] }
    }
}
