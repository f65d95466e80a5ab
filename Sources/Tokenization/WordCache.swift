/// Caches the tokens of words, because a text repeats a few words many times. Long words are not kept.
final class WordCache {
    /// The longest word that is kept, in bytes.
    static let longestWord = 48
    private static let mostWords = 1 << 18

    private struct Entry {
        let hash: UInt64
        let text: Int32
        let byteCount: Int32
        let tokens: Int32
        let tokenCount: Int32
    }

    /// A hash table of indices in `entries`; -1 where a slot is free.
    private var slots: [Int32]
    private var entries: [Entry] = []
    private var bytes: [UInt8] = []
    private var tokens: [Int32] = []

    init() { slots = Array(repeating: -1, count: 1 << 12) }

    /// Appends the tokens of a word, if it is known.
    ///
    /// - Returns: the hash of an unknown word, `nil` for a known one.
    @inline(__always)
    func append(_ word: UnsafeRawBufferPointer, to ids: inout [Int32]) -> UInt64? {
        let hash = WordCache.hash(word)
        var place = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[place] >= 0 {
            let entry = entries[Int(slots[place])]
            if entry.hash == hash, Int(entry.byteCount) == word.count, holds(word, at: Int(entry.text)) {
                if entry.tokenCount == 1 {
                    ids.append(tokens[Int(entry.tokens)])
                } else {
                    ids += tokens[Int(entry.tokens)..<Int(entry.tokens + entry.tokenCount)]
                }
                return nil
            }
            place = (place + 1) & (slots.count - 1)
        }
        return hash
    }

    /// Keeps the tokens of a word that is not known.
    func insert(_ word: UnsafeRawBufferPointer, hash: UInt64, _ ids: ArraySlice<Int32>) {
        guard entries.count < WordCache.mostWords else { return }
        if 2 * entries.count >= slots.count { grow() }
        place(entries.count, hash)
        entries.append(
            Entry(
                hash: hash, text: Int32(bytes.count), byteCount: Int32(word.count), tokens: Int32(tokens.count),
                tokenCount: Int32(ids.count)))
        bytes += word
        tokens += ids
    }

    private func place(_ number: Int, _ hash: UInt64) {
        var place = Int(truncatingIfNeeded: hash) & (slots.count - 1)
        while slots[place] >= 0 { place = (place + 1) & (slots.count - 1) }
        slots[place] = Int32(number)
    }

    private func grow() {
        slots = Array(repeating: -1, count: 2 * slots.count)
        for (number, entry) in entries.enumerated() { place(number, entry.hash) }
    }

    private func holds(_ word: UnsafeRawBufferPointer, at start: Int) -> Bool {
        bytes.withUnsafeBytes { bytes in
            var index = 0
            while index + 8 <= word.count {
                let ours = bytes.loadUnaligned(fromByteOffset: start + index, as: UInt64.self)
                if ours != word.loadUnaligned(fromByteOffset: index, as: UInt64.self) { return false }
                index += 8
            }
            while index < word.count {
                if bytes[start + index] != word[index] { return false }
                index += 1
            }
            return true
        }
    }

    private static func hash(_ word: UnsafeRawBufferPointer) -> UInt64 {
        var hash = UInt64(truncatingIfNeeded: word.count) &* 0x9E37_79B9_7F4A_7C15
        var index = 0
        func mix(_ value: UInt64) {
            hash = (hash ^ value) &* 0xFF51_AFD7_ED55_8CCD
            hash ^= hash >> 32
        }
        while index + 8 <= word.count {
            mix(word.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            index += 8
        }
        var rest: UInt64 = 0
        while index < word.count {
            rest = rest << 8 | UInt64(word[index])
            index += 1
        }
        mix(rest)
        return hash ^ hash >> 29
    }
}
