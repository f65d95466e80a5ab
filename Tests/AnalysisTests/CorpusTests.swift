import Checkpoints
import Formats
import Testing
import TestSupport
import Analysis

@Suite("texts")
struct CorpusTests {
    private static func expectRefusal(
        _ message: String, path: String, contextLength: Int = 16, limit: Int? = nil, model: Checkpoint? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let model = try model ?? KnownAnalysis.model()
        let error = #expect(throws: CheckpointError.self, sourceLocation: sourceLocation) {
            try Corpus(path: path, for: model, contextLength: contextLength, limit: limit)
        }
        #expect(
            error?.description.contains(message) == true, "\(error?.description ?? "")", sourceLocation: sourceLocation)
    }

    @Test("a text is cut into contexts, and what fills none is left out")
    func contexts() throws {
        let folder = TemporaryFolder()
        let path = folder.write("text", "In the beginning God created the heaven and the earth.\n")
        let tokens = try Corpus.tokens(of: .path(path), for: KnownAnalysis.model())
        for length in 2...tokens.count {
            let corpus = try Corpus(path: path, for: KnownAnalysis.model(), contextLength: length)
            #expect(corpus.contexts.count == tokens.count / length)
            #expect(corpus.contexts.joined().elementsEqual(tokens.prefix(tokens.count / length * length)))
            let one = try Corpus(path: path, for: KnownAnalysis.model(), contextLength: length, limit: 1)
            #expect(one.contexts == [Array(tokens.prefix(length))])
            #expect(corpus.prefix(1).contexts == one.contexts)
        }
        try CorpusTests.expectRefusal(
            "text: has \(tokens.count) tokens, less than one context of \(tokens.count + 1)", path: path,
            contextLength: tokens.count + 1)
    }

    @Test("files that are no text")
    func files() throws {
        let folder = TemporaryFolder()
        try CorpusTests.expectRefusal("missing: does not exist", path: folder("missing"))
        try CorpusTests.expectRefusal("empty: is empty", path: folder.write("empty", ""))
        try CorpusTests.expectRefusal("folder: ", path: folder.makeFolder("folder"))
        Files.fifo(folder("fifo"))
        try CorpusTests.expectRefusal("fifo: ", path: folder("fifo"))
        try CorpusTests.expectRefusal("a context of 1 tokens is too short", path: folder("missing"), contextLength: 1)
        try CorpusTests.expectRefusal("a context of -5 tokens is too short", path: folder("missing"), contextLength: -5)
        try CorpusTests.expectRefusal("the number of samples must be at least 1", path: folder("missing"), limit: 0)
        try CorpusTests.expectRefusal("the number of samples must be at least 1", path: folder("missing"), limit: -1)
        try CorpusTests.expectRefusal(
            "has 1 tokens, less than one context of 9,223,372,036,854,775,807", path: folder.write("a", "a"),
            contextLength: .max, limit: .max)
    }

    @Test(
        "a text that is not UTF-8 is refused with the place of the first wrong byte",
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
            [0xE2, 0x82], [0xE2, 0x28, 0xA1],
            [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF], [0xF0, 0x9F, 0x98],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF],
        ] as [[UInt8]])
    func notUTF8(wrong: [UInt8]) throws {
        let folder = TemporaryFolder()
        let before = Array("Aé漢😀 ".utf8)
        try CorpusTests.expectRefusal(
            "is not UTF-8 text (at byte \(before.count))", path: folder.write("text", before + wrong))
        try CorpusTests.expectRefusal(
            "is not UTF-8 text (at byte \(before.count))", path: folder.write("text", before + wrong + before))
    }

    @Test("what counts as UTF-8 is what the standard library takes")
    func likeTheStandardLibrary() {
        var random = SeededGenerator(seed: 11)
        let starts: [UInt8] = [0x41, 0xC3, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF1, 0xF4]
        var right = 0
        for _ in 0..<20_000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes.append(starts.randomElement(using: &random) ?? 0)
                bytes += (0..<Int.random(in: 0...3, using: &random)).map { _ in
                    UInt8.random(in: 0x7E...0xC1, using: &random)
                }
            }
            let isText = String(validating: bytes, as: UTF8.self) != nil
            #expect((bytes.withUnsafeBytes(UTF8Check.firstInvalidByte) == nil) == isText)
            if isText { right += 1 }
        }
        #expect(right > 100)
    }

    @Test("a model that cannot be run says so before its tokenizer is looked for")
    func modelFirst() throws {
        var model = try KnownAnalysis.model()
        model.companions = []
        try CorpusTests.expectRefusal(
            "the folder has no tokenizer.json", path: Fixture.path("evaluation.txt"), model: model)
        model.architecture = nil
        try CorpusTests.expectRefusal(
            "so it cannot be run", path: Fixture.path("evaluation.txt"), model: model)
    }
}
