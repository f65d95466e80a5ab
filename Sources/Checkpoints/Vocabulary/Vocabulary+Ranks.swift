internal import Formats

extension Vocabulary {
    /// The tokenizer file of Qwen's first models, which have no tokenizer.json.
    static let rankFile = "qwen.tiktoken"
    /// How many tokens without a meaning follow the three special ones in those models.
    private static let extraCount = 205

    /// Reads a list of tokens with their ranks, a line each: the bytes in base64, and the number.
    ///
    /// - Throws: when it is not such a list.
    init(ranks contents: [UInt8], file: String) throws(CheckpointError) {
        var texts: [[UInt8]] = []
        for line in contents.split(separator: 0x0A) {
            let parts = line.split(separator: 0x20)
            guard parts.count == 2, let rank = Int(String(decoding: parts[1], as: UTF8.self)), rank == texts.count,
                let bytes = Base64.bytes(String(decoding: parts[0], as: UTF8.self)), !bytes.isEmpty
            else {
                throw CheckpointError(
                    file: file,
                    "line \((texts.count + 1).grouped) is not a token in base64 with the number "
                        + "\(texts.count.grouped)")
            }
            texts.append(bytes)
        }
        guard !texts.isEmpty else { throw CheckpointError(file: file, "has no tokens") }
        let words = texts.map { $0.withUnsafeBytes(ByteAlphabet.text) }
        let special =
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + (0..<Vocabulary.extraCount).map { "<|extra_\($0)|>" }
        self.init(
            preTokenizer: "qwen2", tokens: words + special,
            kinds: words.map { _ in .normal } + special.map { _ in .control },
            merges: try Vocabulary.merges(texts, words, file: file),
            addedTokens: special.enumerated().map { AddedToken(id: words.count + $0, content: $1, special: true) })
        beginningID = words.count
        endID = words.count
        unknownID = words.count
    }

    /// The two tokens that each longer token is merged from: the two parts that are left when its bytes are merged with
    /// lower ranks only.
    private static func merges(
        _ texts: [[UInt8]], _ words: [String], file: String
    ) throws(CheckpointError) -> [Merge] {
        var ranks: [[UInt8]: Int] = [:]
        ranks.reserveCapacity(texts.count)
        for (rank, text) in texts.enumerated() {
            guard ranks.updateValue(rank, forKey: text) == nil else {
                throw CheckpointError(file: file, "has the token '\(words[rank])' twice")
            }
        }
        var merges: [Merge] = []
        for (rank, text) in texts.enumerated() where text.count > 1 && text.count <= longestMerged {
            var ends = Array(1...text.count)
            func part(_ index: Int, through last: Int) -> [UInt8] {
                Array(text[(index == 0 ? 0 : ends[index - 1])..<ends[last]])
            }
            while ends.count > 2 {
                var best: (index: Int, rank: Int)?
                for index in 0..<ends.count - 1 {
                    guard let found = ranks[part(index, through: index + 1)], found < best?.rank ?? rank else {
                        continue
                    }
                    best = (index, found)
                }
                guard let best else { break }
                ends.remove(at: best.index)
            }
            guard ends.count == 2, let left = ranks[part(0, through: 0)], let right = ranks[part(1, through: 1)] else {
                throw CheckpointError(
                    file: file, "the token '\(words[rank])' of number \(rank.grouped) is not merged from two others")
            }
            merges.append(Merge(words[left], words[right]))
        }
        return merges
    }
}
