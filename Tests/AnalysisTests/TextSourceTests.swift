import Analysis
import Checkpoints
import TestSupport
import Testing

@Suite("sources of text")
struct TextSourceTests {
    private static let text = "In the beginning God created the heaven and the earth.\n"
    private static let other = "And God said, Let there be light: and there was light.\n"

    private static func contexts(_ sources: [TextSource], length: Int = 4, limit: Int? = nil) throws -> [[Int32]] {
        try Corpus(sources, for: KnownAnalysis.model(), contextLength: length, limit: limit).contexts
    }

    private static func tokens(_ text: String, _ folder: TemporaryFolder) throws -> [Int32] {
        try Corpus.tokens(of: .path(folder.write("tokens", text)), for: KnownAnalysis.model())
    }

    private static func cut(_ tokens: [Int32], _ length: Int = 4) -> [[Int32]] {
        (0..<tokens.count / length).map { Array(tokens[$0 * length..<($0 + 1) * length]) }
    }

    @Test("a string and its tokens give the contexts of a file with the same text")
    func same() throws {
        let folder = TemporaryFolder()
        let tokens = try Self.tokens(Self.text, folder), expected = Self.cut(tokens)
        #expect(expected.count > 2)
        #expect(try Self.contexts([.path(folder("tokens"))]) == expected)
        #expect(try Self.contexts([.text(Self.text)]) == expected)
        #expect(try Self.contexts([.tokens(tokens)]) == expected)
        #expect(try Corpus(tokens: tokens, contextLength: 4).contexts == expected)
        #expect(try Corpus(tokens: tokens, contextLength: 4, limit: 1).contexts == [expected[0]])
    }

    @Test("the contexts of several texts come in turn, and a text that has no more leaves its turn to the others")
    func several() throws {
        let folder = TemporaryFolder()
        let one = Self.cut(try Self.tokens(Self.text, folder)), two = Self.cut(try Self.tokens(Self.other, folder))
        let sources: [TextSource] = [.text(Self.text), .tokens(Array(two[0])), .text(Self.other)]
        let all = try Self.contexts(sources)
        #expect(Array(all.prefix(5)) == [one[0], two[0], two[0], one[1], two[1]])
        #expect(all.count == one.count + 1 + two.count)
        #expect(try Self.contexts(sources, limit: 4) == Array(all.prefix(4)))
    }

    @Test("the files of a folder follow each other by name, and those that are not text are left out")
    func folders() throws {
        let folder = TemporaryFolder()
        let first = try Self.tokens(Self.text, folder), second = try Self.tokens(Self.other, folder)
        let texts = folder.makeFolder("texts")
        Files.write(texts + "/b", Array(Self.other.utf8))
        Files.write(texts + "/a", Array(Self.text.utf8))
        Files.write(texts + "/a.png", [0x89, 0x50, 0xFF])
        #expect(try Self.contexts([.path(texts)]) == Self.cut(first + second))
        Files.remove(texts + "/a")
        Files.remove(texts + "/b")
        let error = #expect(throws: CheckpointError.self) { try Self.contexts([.path(texts)]) }
        #expect(error?.description == "\(texts): holds no text file: a.png is not UTF-8 text")
    }

    @Test("resect's own text that judges shares no context with the rest of it")
    func builtin() throws {
        let model = try KnownAnalysis.model()
        func contexts(_ judges: Bool) throws -> [[Int32]] {
            try Corpus([.builtin], for: model, contextLength: 64, limit: 200, judges: judges).contexts
        }
        let measuring = try contexts(false), judging = try contexts(true)
        #expect(measuring.count == 200 && judging.count > 20)
        #expect(Set(measuring).isDisjoint(with: judging))
    }

    @Test("what an argument names")
    func arguments() {
        #expect(TextSource(argument: "builtin") == .builtin)
        let folder = TemporaryFolder()
        let file = folder.write("text.txt", "text")
        #expect(TextSource.path(file).shares(.path(folder.path + "/./text.txt")))
        #expect(TextSource.path(file).shares(.path(folder.path)) && TextSource.path(folder.path).shares(.path(file)))
        #expect(!TextSource.path(file).shares(.path(folder("text.txt2"))) && !TextSource.path(file).shares(.builtin))
        #expect(TextSource(argument: "-") == .standardInput)
        #expect(TextSource(argument: "./builtin") == .path("./builtin"))
        #expect(TextSource(argument: "a.txt").name == "a.txt")
    }

    @Test("nothing to read is refused by name")
    func refused() throws {
        func refuse(_ message: String, _ sources: [TextSource]) {
            let error = #expect(throws: CheckpointError.self) { try Self.contexts(sources) }
            #expect(error?.description == message)
        }
        refuse("no text is given", [])
        refuse("note: is empty", [.text("", name: "note")])
        refuse("tokens: is empty", [.tokens([])])
        refuse("ids: has 3 tokens, less than one context of 4", [.tokens([1, 2, 3], name: "ids")])
        let error = #expect(throws: CheckpointError.self) { try Corpus(tokens: [1], contextLength: 2) }
        #expect(error?.problem == "has 1 tokens, less than one context of 2")
    }
}
