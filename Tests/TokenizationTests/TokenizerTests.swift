import Checkpoints
import Testing
import TestSupport
import Tokenization

@Suite("laws of the tokenizer")
struct TokenizerTests {
    /// The bytes that a token stands for.
    private static func bytes(_ id: Int32, _ vocabulary: Vocabulary) -> [UInt8] {
        let text = vocabulary.tokens[Int(id)]
        if vocabulary.kinds[Int(id)] != .normal { return Array(text.utf8) }
        return text.unicodeScalars.compactMap { ByteAlphabet.characters.firstIndex(of: $0) }.map { UInt8($0) }
    }

    private static func randomText(_ random: inout SeededGenerator, count: Int) -> String {
        var text = String.UnicodeScalarView()
        while text.count < count {
            let value: UInt32
            switch Int.random(in: 0..<4, using: &random) {
            case 0: value = .random(in: 0..<0x110000, using: &random)
            case 1: value = .random(in: 0x80..<0x3000, using: &random)
            default: value = .random(in: 0..<0x80, using: &random)
            }
            if let scalar = Unicode.Scalar(value) { text.append(scalar) }
        }
        return String(text)
    }

    @Test("the tokens together are the bytes of the text", arguments: ["gpt-2", "smollm", "llama-bpe"])
    func nothingIsLost(name: String) throws {
        let vocabulary = try KnownTokens.vocabulary(name)
        let tokenizer = try Tokenizer(vocabulary)
        var random = SeededGenerator(seed: 1)
        for _ in 0..<50 {
            let text = TokenizerTests.randomText(&random, count: 200)
            let ids = tokenizer.encode(text).dropFirst(tokenizer.beginning == nil ? 0 : 1)
            #expect(ids.flatMap { TokenizerTests.bytes($0, vocabulary) } == Array(text.utf8))
        }
    }

    @Test("a limit gives the first tokens", arguments: KnownTokens.names)
    func limits(name: String) throws {
        let tokenizer = try Tokenizer(KnownTokens.vocabulary(name))
        for known in try KnownTokens.cases(name) {
            var text = known.text
            let count = known.ids.count
            for limit in [0, 1, 2, 7, count - 1, count, count + 1] where limit >= 0 {
                let ids = text.withUTF8 { tokenizer.encode(UnsafeRawBufferPointer($0), limit: limit) }
                #expect(ids == Array(known.ids.prefix(limit)), "\(known.text.debugDescription) up to \(limit)")
            }
        }
    }

    @Test("both ways to merge give what looking at every pair gives")
    func merges() throws {
        let vocabulary = try KnownTokens.vocabulary("gpt-2")
        let tokenizer = try Tokenizer(vocabulary)
        var ranks: [String: Int] = [:]
        for (rank, merge) in vocabulary.merges.enumerated() {
            let pair = "\(merge.left) \(merge.right)"
            ranks[pair] = ranks[pair] ?? rank
        }
        var random = SeededGenerator(seed: 2)
        for length in 1...80 {
            // One word, whatever its letters; both sides of the length where the way changes.
            let word = (0..<length).map { _ in "aeiouhtsrnd".randomElement(using: &random) ?? "a" }
            var parts = word.map(String.init)
            while let best = parts.indices.dropLast().filter({ ranks["\(parts[$0]) \(parts[$0 + 1])"] != nil })
                .min(by: {
                    ranks["\(parts[$0]) \(parts[$0 + 1])", default: 0]
                        < ranks["\(parts[$1]) \(parts[$1 + 1])", default: 0]
                })
            {
                parts[best] += parts.remove(at: best + 1)
            }
            let found = tokenizer.encode(String(word)).map { vocabulary.tokens[Int($0)] }
            #expect(found == parts)
        }
    }

    @Test(
        "words of 100,000 characters take less than a second",
        arguments: [" ", "a", "1", "!", "\n", "th", "é", "e\u{301}", " \n", "'"])
    func longWords(piece: String) throws {
        for name in KnownTokens.names {
            let tokenizer = try Tokenizer(KnownTokens.vocabulary(name))
            let text = String(repeating: piece, count: 100_000)
            let time = ContinuousClock().measure { #expect(!tokenizer.encode(text).isEmpty) }
            #expect(time < .seconds(1), "\(name) takes \(time)")
        }
    }

    @Test("a run of megabytes without a border loses nothing, and stops at the limit")
    func endless() throws {
        let vocabulary = try KnownTokens.vocabulary("gpt-2")
        let tokenizer = try Tokenizer(vocabulary)
        var text = String(repeating: "e", count: 3 << 20)
        let whole = tokenizer.encode(text)
        #expect(whole.reduce(0) { $0 + TokenizerTests.bytes($1, vocabulary).count } == 3 << 20)
        #expect(text.withUTF8 { tokenizer.encode(UnsafeRawBufferPointer($0), limit: 100) } == Array(whole.prefix(100)))
    }

    @Test("the beginning token is put before every text, also an empty one")
    func beginning() throws {
        let vocabulary = try KnownTokens.vocabulary("llama-bpe")
        let tokenizer = try Tokenizer(vocabulary)
        let beginning = try #require(tokenizer.beginning)
        #expect(vocabulary.tokens[Int(beginning)] == "<|begin|>")
        #expect(tokenizer.encode("") == [beginning])
        #expect(tokenizer.end == nil)
    }

    @Test("an added token that is one character does not stand for a byte")
    func oneCharacter() throws {
        var vocabulary = try KnownTokens.vocabulary("gpt-2")
        let before = try Tokenizer(vocabulary).encode("caf\u{E8}")
        // The character that stands for the second byte of è in UTF-8.
        vocabulary.tokens.append("\u{A8}")
        vocabulary.kinds.append(.userDefined)
        vocabulary.addedTokens.append(.init(id: vocabulary.tokens.count - 1, content: "\u{A8}", special: false))
        let tokenizer = try Tokenizer(vocabulary)
        #expect(tokenizer.encode("caf\u{E8}") == before)
        #expect(tokenizer.encode("\u{A8}") == [Int32(vocabulary.tokens.count - 1)])
    }

    /// The ids are those of the tokenizers library.
    @Test("another added token may begin in the white space that one takes")
    func takenSpace() throws {
        var vocabulary = try KnownTokens.vocabulary("gpt-2")
        let first = vocabulary.tokens.count
        for (number, content) in ["<a>", "\n\n", " <b>"].enumerated() {
            vocabulary.tokens.append(content)
            vocabulary.kinds.append(.userDefined)
            var token = Vocabulary.AddedToken(id: first + number, content: content, special: false)
            token.stripsRight = number == 0
            token.stripsLeft = number == 2
            vocabulary.addedTokens.append(token)
        }
        let tokenizer = try Tokenizer(vocabulary)
        func added(_ text: String) -> [Int] { tokenizer.encode(text).map { Int($0) - first } }
        #expect(added("<a>\n\n") == [0, 1])
        #expect(added("<a>  <b>") == [0, 2])
        #expect(added("<a> <a>") == [0, 0])
        // The text behind that token is text again, even if the first one took it.
        #expect(added("<a>\n\n\n").prefix(2) == [0, 1])
        #expect(Array(tokenizer.encode("<a>\n\n\n").dropFirst(2)) == tokenizer.encode("\n"))
    }

    @Test("vocabularies that cannot be followed are refused")
    func refusals() throws {
        func refused(_ message: String, _ change: (inout Vocabulary) -> Void) throws {
            var vocabulary = try KnownTokens.vocabulary("gpt-2")
            change(&vocabulary)
            let error = #expect(throws: CheckpointError.self) { try Tokenizer(vocabulary) }
            #expect(error?.description.contains(message) == true)
        }
        try refused("resect does not know the pre-tokenizer 'other'") { $0.preTokenizer = "other" }
        try refused("puts a space before every text") { $0.addsSpacePrefix = true }
        try refused("the merge 'zq qz' names a token") { $0.merges.append(.init("zq", "qz")) }
        try refused("the merge ' e' names a token") { $0.merges.append(.init("", "e")) }
        // Both parts are tokens, and what they would become is none.
        try refused("the merge 'the the' names a token") { $0.merges.append(.init("the", "the")) }
    }

    @Test("tokens of merges may hold spaces")
    func spaces() throws {
        var vocabulary = try KnownTokens.vocabulary("gpt-2")
        let before = try Tokenizer(vocabulary).encode("a b  c")
        // Bytes are written with printable characters, so that no text has a space for such a merge.
        for token in ["a ", "a  b", " b"] {
            vocabulary.tokens.append(token)
            vocabulary.kinds.append(.normal)
        }
        vocabulary.merges = [.init("a ", " b"), .init("a", " b")] + vocabulary.merges
        vocabulary.tokens.append("a b")
        vocabulary.kinds.append(.normal)
        #expect(try Tokenizer(vocabulary).encode("a b  c") == before)
    }
}

@Suite("threads of the tokenizer")
struct TokenizerThreadTests {
    @Test(
        "the number of threads changes no token",
        arguments: ["gpt-2", "qwen2", "llama-prepend", "llama-metaspace", "unigram"])
    func threads(name: String) throws {
        let tokenizer = try Tokenizer(KnownTokens.vocabulary(name))
        // More than two parts of a megabyte, whose ends fall anywhere in the text.
        var text = KnownTokens.contents("calibration.txt")
        while text.utf8.count < 3 << 20 { text += " x\(text.utf8.count) " + text }
        text.withUTF8 { bytes in
            let raw = UnsafeRawBufferPointer(bytes)
            #expect(tokenizer.encode(raw, threads: 3) == tokenizer.encode(raw))
        }
    }

    @Test("a token that has to stand alone sees the letter before its space")
    func standsAlone() throws {
        var vocabulary = try KnownTokens.vocabulary("gpt-2")
        vocabulary.tokens.append(" the")
        vocabulary.kinds.append(.normal)
        let id = vocabulary.tokens.count - 1
        var token = Vocabulary.AddedToken(id: id, content: " the", special: false)
        token.singleWord = true
        vocabulary.addedTokens.append(token)
        let tokenizer = try Tokenizer(vocabulary)
        var text = String(repeating: "the the ", count: 400_000)
        text.withUTF8 { bytes in
            let raw = UnsafeRawBufferPointer(bytes)
            let ids = tokenizer.encode(raw)
            #expect(!ids.contains(Int32(id)))
            #expect(tokenizer.encode(raw, threads: 3) == ids)
        }
        #expect(tokenizer.encode(". the").contains(Int32(id)))
    }
}
