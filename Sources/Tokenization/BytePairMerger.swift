internal import Checkpoints
internal import Formats

/// Merges the symbols of a word into tokens, the merge of lowest rank first and among equals the leftmost.
struct BytePairMerger: Sendable {
    /// The tokens that a whole word may be without any merge (`ignore_merges`); empty when merges are always applied.
    private let words: [ExactString: Int32]
    private let isByteLevel: Bool
    private let symbols: SymbolTable
    /// The rank of each pair of tokens that can be merged, and the token that they become.
    private let merges: IntegerMap

    /// Words of more bytes do not occur in ordinary text; they are merged in pieces to bound memory.
    private static let longestWord = 1 << 20

    init(_ vocabulary: Vocabulary) throws(CheckpointError) {
        var ids: [ExactString: Int32] = [:]
        ids.reserveCapacity(vocabulary.tokens.count)
        isByteLevel = vocabulary.model == .byteLevelBPE
        for (id, token) in vocabulary.tokens.enumerated() where vocabulary.kinds[id] == .normal {
            ids[ExactString(token)] = Int32(id)
        }
        words = vocabulary.ignoresMerges ? ids : [:]
        // Added tokens are not in the byte alphabet, so one with a single character must not replace a byte.
        for (id, token) in vocabulary.tokens.enumerated() where !vocabulary.isPlaceholder(id) {
            if ids[ExactString(token)] == nil { ids[ExactString(token)] = Int32(id) }
        }
        if isByteLevel || vocabulary.scores.isEmpty || !vocabulary.merges.isEmpty {
            merges = try BytePairMerger.listed(vocabulary.merges, ids)
            symbols = isByteLevel ? SymbolTable(bytes: ids) : SymbolTable(characters: ids, of: vocabulary, parts: [])
        } else {
            let found = BytePairMerger.scored(vocabulary, ids)
            merges = found.merges
            symbols = SymbolTable(characters: ids, of: vocabulary, parts: found.parts)
        }
    }

    /// Merges that are listed, the first one first.
    private static func listed(
        _ list: [Vocabulary.Merge], _ ids: [ExactString: Int32]
    ) throws(CheckpointError) -> IntegerMap {
        var merges = IntegerMap(capacity: list.count)
        for (rank, merge) in list.enumerated() {
            guard let left = ids[ExactString(merge.left)], let right = ids[ExactString(merge.right)],
                let result = ids[ExactString(merge.left + merge.right)]
            else {
                throw CheckpointError(
                    "the merge '\(merge.left) \(merge.right)' names a token that the vocabulary does not have")
            }
            merges.insert(IntegerMap.key(left, right), Int32(rank), result)
        }
        return merges
    }

    /// Merges by the scores of tokens, as in SentencePiece: any two symbols that are together a token can be merged, the
    /// highest score first. A single character can be merged even where it is not a token.
    private static func scored(
        _ vocabulary: Vocabulary, _ ids: [ExactString: Int32]
    ) -> (merges: IntegerMap, parts: [Unicode.Scalar]) {
        let scores = Set(vocabulary.scores).sorted(by: >)
        var ranks: [Float: Int32] = [:]
        for (rank, score) in scores.enumerated() { ranks[score] = Int32(rank) }
        var merges = IntegerMap(capacity: 2 * ids.count)
        var parts: [Unicode.Scalar] = []
        var numbers: [Unicode.Scalar: Int32] = [:]
        func symbol(_ text: Substring.UnicodeScalarView) -> Int32? {
            if let id = ids[ExactString(String(text))] { return id }
            guard text.count == 1, let scalar = text.first else { return nil }
            if let known = numbers[scalar] { return known }
            let number = Int32(vocabulary.tokens.count + parts.count)
            parts.append(scalar)
            numbers[scalar] = number
            return number
        }
        for (id, token) in vocabulary.tokens.enumerated() where token.utf8.count <= Vocabulary.longestMerged {
            guard let result = ids[ExactString(token)], let rank = ranks[vocabulary.scores[id]] else { continue }
            let scalars = token.unicodeScalars
            for index in scalars.indices.dropFirst() {
                guard let left = symbol(scalars[..<index]), let right = symbol(scalars[index...]) else { continue }
                merges.insert(IntegerMap.key(left, right), rank, result)
            }
        }
        return (merges, parts)
    }

    /// Appends the tokens of a word.
    @inline(__always)
    func encode(_ word: UnsafeRawBufferPointer, into output: inout TokenOutput) {
        guard word.count <= WordCache.longestWord else { return encodeLong(word, into: &output) }
        guard let hash = output.cache.append(word, to: &output.ids) else { return }
        let found = encode(word)
        output.cache.insert(word, hash: hash, found[...])
        output.ids += found
    }

    private func encodeLong(_ word: UnsafeRawBufferPointer, into output: inout TokenOutput) {
        var start = 0
        while start < word.count, !output.isFull {
            var end = min(start + BytePairMerger.longestWord, word.count)
            // Characters are not cut apart.
            while !isByteLevel, end < word.count, word[end] & 0xC0 == 0x80 { end -= 1 }
            output.ids += encode(UnsafeRawBufferPointer(rebasing: word[start..<end]))
            start = end
        }
    }

    private func encode(_ word: UnsafeRawBufferPointer) -> [Int32] {
        if !words.isEmpty {
            let text = isByteLevel ? ByteAlphabet.text(word) : String(decoding: word, as: UTF8.self)
            if let whole = words[ExactString(text)] { return [whole] }
        }
        var found = symbols.symbols(word)
        if found.count <= 32 { mergeShort(&found) } else { found = mergeLong(found) }
        return symbols.finish(found)
    }

    /// Looks at every pair for each merge, which is fastest for words of ordinary length.
    private func mergeShort(_ symbols: inout [Int32]) {
        withUnsafeTemporaryAllocation(of: IntegerMap.Value.self, capacity: 32) { pairs in
            let none = IntegerMap.Value(first: .max, second: 0)
            var count = symbols.count
            func look(_ index: Int) {
                guard index >= 0, index + 1 < count else { return }
                pairs[index] = merges[IntegerMap.key(symbols[index], symbols[index + 1])] ?? none
            }
            for index in 0..<max(count - 1, 0) { look(index) }
            while count > 1 {
                var best = 0
                for index in 1..<max(count - 1, 1) where pairs[index].first < pairs[best].first { best = index }
                if pairs[best].first == .max { break }
                symbols[best] = pairs[best].second
                count -= 1
                for index in best + 1..<max(count, best + 1) {
                    symbols[index] = symbols[index + 1]
                    pairs[index] = pairs[index + 1]
                }
                look(best - 1)
                look(best)
            }
            symbols.removeLast(symbols.count - count)
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
                let merge = merges[IntegerMap.key(symbols[left], symbols[right])]
            else { return nil }
            return .init(
                rank: merge.first, position: Int32(left), left: symbols[left], right: symbols[right],
                result: merge.second)
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
