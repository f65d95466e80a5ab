import Analysis
import Checkpoints
import Healing
import TestSupport
import Testing

@Suite("text of several kinds for healing")
struct HealingTextTests {
    static let contextLength = 64

    static func model() throws -> Checkpoint { try Checkpoint.open(Fixture.model) }

    /// Lines of words that hardly ever repeat.
    static func prose(_ lines: Int, _ random: inout SeededGenerator) -> String {
        let words = [
            "the", "king", "of", "all", "Israel", "said", "unto", "him", "go", "up", "and", "see", "water", "stone",
        ]
        return (0..<lines).map { _ in
            (0..<12).map { _ in words.randomElement(using: &random) ?? "" }.joined(separator: " ")
                + " \(UInt16.random(in: .min ... .max, using: &random)).\n"
        }.joined()
    }

    static func parts(_ text: HealingText) -> [(String, TextPart)] {
        [("ranking", text.ranking), ("fitting", text.fitting), ("choosing", text.choosing), ("judging", text.judging)]
    }

    @Test("no run of 127 tokens is in two contexts, and kinds take turns", arguments: 0..<12)
    func laws(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let folder = TemporaryFolder()
        let shared = Self.prose(20, &random)
        var paths: [String] = []
        for kind in 0..<Int.random(in: 1...5, using: &random) {
            let sections = (0..<Int.random(in: 2...5, using: &random)).map { _ in
                Self.prose(Int.random(in: 8...60, using: &random), &random)
            }
            // Some kinds hold a passage of another one, some hold it twice.
            let passages = (0..<Int.random(in: 0...2, using: &random)).map { _ in shared }
            let text = (sections + passages).shuffled(using: &random).joined(separator: "\n")
            if Bool.random(using: &random) {
                paths.append(folder.write("kind\(kind)", text))
            } else {
                let inner = folder.makeFolder("kind\(kind)")
                let half = text.utf8.index(text.utf8.startIndex, offsetBy: text.utf8.count / 2)
                folder.write("kind\(kind)/b", String(text[half...]))
                folder.write("kind\(kind)/a", String(text[..<half]))
                folder.makeFolder("kind\(kind)/empty")
                paths.append(inner)
            }
        }
        var sizes = HealingText.Sizes(fitting: Int.random(in: 1...120, using: &random))
        sizes.ranking = Int.random(in: 0...12, using: &random)
        sizes.choosing = Int.random(in: 1...12, using: &random)
        let model = try Self.model()
        let text = try HealingText(
            sources: paths.map(TextSource.path), for: model, contextLength: Self.contextLength, sizes: sizes, seed: seed
        )
        var seen: Set<[Int32]> = []
        for (name, part) in Self.parts(text) {
            #expect(part.corpus.contexts.count == part.kinds.reduce(0) { $0 + $1.corpus.contexts.count }, "\(name)")
            for context in part.corpus.contexts {
                #expect(context.count == Self.contextLength)
                #expect(seen.insert(context).inserted, "a context of \(name) is in two parts or twice in one")
            }
        }
        #expect(text.fitting.corpus.contexts.count <= sizes.fitting)
        #expect(!text.fitting.corpus.contexts.isEmpty && !text.choosing.corpus.contexts.isEmpty)
        #expect(text.ranking.corpus.contexts.isEmpty == (sizes.ranking == 0))
        // In every beginning of the part, kinds that still have contexts differ by one at most.
        for (name, part) in Self.parts(text) {
            var taken = part.kinds.map { _ in 0 }
            for context in part.corpus.contexts {
                let kind = try #require(part.kinds.firstIndex { $0.corpus.contexts.contains(context) })
                taken[kind] += 1
                let open = part.kinds.indices.filter { taken[$0] < part.kinds[$0].corpus.contexts.count }
                let most = taken.max() ?? 0
                #expect(open.allSatisfy { taken[$0] >= most - 1 }, "\(name)")
            }
        }
        if paths.count >= 3 {
            let heldOut = try #require(text.heldOut)
            #expect(text.choosing.kinds.map(\.name) == [heldOut])
            #expect(!(text.fitting.kinds + text.ranking.kinds).contains { $0.name == heldOut })
        } else {
            #expect(text.heldOut == nil)
        }
        let again = try HealingText(
            sources: paths.map(TextSource.path), for: model, contextLength: Self.contextLength, sizes: sizes, seed: seed
        )
        for ((name, one), (_, two)) in zip(Self.parts(text), Self.parts(again)) {
            #expect(one.corpus.contexts == two.corpus.contexts, "\(name)")
        }
    }

    @Test("what is kept of a text that repeats itself has no run of 127 tokens twice")
    func repeats() throws {
        var random = SeededGenerator(seed: 5)
        let folder = TemporaryFolder()
        let passages = (0..<6).map { _ in Self.prose(Int.random(in: 4...30, using: &random), &random) }
        let text = (0..<40).map { _ in (passages.randomElement(using: &random) ?? "") + Self.prose(3, &random) }
            .joined()
        let path = folder.write("text", text)
        let model = try Self.model()
        // One long context for each part shows the stream with its order.
        let whole = try Corpus.tokens(of: .path(path), for: model)
        var sizes = HealingText.Sizes(fitting: 1000)
        (sizes.ranking, sizes.choosing) = (0, 1)
        let healing = try HealingText(sources: [.path(path)], for: model, contextLength: 512, sizes: sizes)
        let contexts = healing.fitting.corpus.contexts + healing.choosing.corpus.contexts
        #expect(contexts.count * 512 < whole.count / 2)
        #expect(contexts.count >= 8)
        var runs: [ArraySlice<Int32>: Int] = [:]
        for (number, context) in contexts.enumerated() {
            for start in 0...context.count - 127 {
                let run = context[start..<start + 127]
                let first = runs.updateValue(number, forKey: ArraySlice(Array(run)))
                #expect(first == nil, "contexts \(first ?? -1) and \(number)")
            }
        }
        #expect(healing.notes.contains { $0.contains("that occur twice in the texts") })
    }

    @Test("a training takes more contexts than the fit, those of the fit first, and leaves all other parts as they are")
    func training() throws {
        var random = SeededGenerator(seed: 4)
        let folder = TemporaryFolder()
        let sources = [80, 200, 40, 120].enumerated().map { index, lines in
            TextSource.path(folder.write("kind\(index)", Self.prose(lines, &random)))
        }
        func text(training: Int) throws -> HealingText {
            var sizes = HealingText.Sizes(fitting: 30)
            sizes.training = training
            return try HealingText(
                sources: sources, for: Self.model(), contextLength: Self.contextLength, sizes: sizes, seed: 1)
        }
        let none = try text(training: 0), few = try text(training: 20), many = try text(training: 60)
        #expect(none.training.corpus.contexts.isEmpty)
        #expect(few.training.corpus.contexts == few.fitting.corpus.contexts)
        #expect(many.training.corpus.contexts.count == 60)
        #expect(many.training.corpus.contexts.prefix(30) == many.fitting.corpus.contexts[...])
        for (one, other) in zip(Self.parts(none), Self.parts(many)) {
            #expect(one.1.corpus.contexts == other.1.corpus.contexts, "\(one.0)")
        }
        let changing = Set(many.training.corpus.contexts)
        #expect(changing.isDisjoint(with: many.choosing.corpus.contexts + many.ranking.corpus.contexts))
    }

    @Test("text that is too short, of one kind, or given as a copy is named in notes")
    func notes() throws {
        var random = SeededGenerator(seed: 9)
        let folder = TemporaryFolder()
        let text = Self.prose(100, &random)
        let (one, copy) = (folder.write("one", text), folder.write("copy", text))
        let healing = try HealingText(
            sources: [.path(one)], for: Self.model(), contextLength: Self.contextLength, sizes: .init(fitting: 500))
        let count = healing.fitting.corpus.contexts.count
        #expect(healing.notes.count == 2)
        #expect(healing.notes[0] == "fits on \(count) contexts instead of 500: the texts are too short for more")
        #expect(healing.notes[1].contains("all text is of one kind"))
        let both = try HealingText(
            sources: [.path(one), .path(copy)], for: Self.model(), contextLength: Self.contextLength,
            sizes: .init(fitting: 500))
        #expect(both.fitting.corpus.contexts == healing.fitting.corpus.contexts)
        #expect(both.notes.contains { $0.hasPrefix(copy) && $0.contains("less than one context, and is not used") })
        #expect(both.notes.contains { $0.contains("all text is of one kind") })
    }

    @Test("of a large text pieces are read that lie evenly spread")
    func large() throws {
        let folder = TemporaryFolder()
        let model = try Self.model()
        // 4 MB of numbered lines, in two files; each line has its number at its start.
        let lines = (0..<60_000).map {
            "\($0 * 7919 % 60_000) is line \($0) of the book, \($0 * 31 % 997) and \($0 * 17 % 1009)\n"
        }
        folder.makeFolder("large")
        folder.write("large/1", lines[..<20_000].joined())
        folder.write("large/2", lines[20_000...].joined())
        let healing = try HealingText(
            sources: [.path(folder("large"))], for: model, contextLength: 64, sizes: .init(fitting: 100_000 / 64))
        #expect(healing.notes.contains { $0.contains("evenly spread") })
        let whole =
            try Corpus.tokens(of: .path(folder("large/1")), for: model)
            + Corpus.tokens(of: .path(folder("large/2")), for: model)
        var places: [ArraySlice<Int32>: Int] = [:]
        for start in 0...whole.count - 32 { places[whole[start..<start + 32]] = start }
        let quarters = healing.fitting.corpus.contexts.compactMap { places[$0[16..<48]] }.map { $0 * 4 / whole.count }
        #expect(quarters.count > healing.fitting.corpus.contexts.count * 9 / 10)
        for quarter in 0..<4 {
            #expect(quarters.count { $0 == quarter } > quarters.count / 6, "\(quarter)")
        }
    }

    @Test("sources that are no text are refused by name")
    func refusals() throws {
        let folder = TemporaryFolder()
        func refuse(
            _ message: String, _ sources: [String], contextLength: Int = 64, location: SourceLocation = #_sourceLocation
        ) throws {
            let model = try Self.model()
            let error = #expect(throws: CheckpointError.self, sourceLocation: location) {
                try HealingText(
                    sources: sources.map(TextSource.init(argument:)), for: model, contextLength: contextLength)
            }
            #expect(
                error?.description.contains(message) == true, "\(error?.description ?? "")", sourceLocation: location)
        }
        var random = SeededGenerator(seed: 2)
        let good = folder.write("good", Self.prose(40, &random))
        try refuse("missing: does not exist", [good, folder("missing")])
        try refuse("empty: is empty", [folder.write("empty", "")])
        try refuse("nothing: holds no text file", [folder.makeFolder("nothing")])
        Files.fifo(folder("fifo"))
        try refuse("fifo: is not a regular file", [folder("fifo")])
        try refuse("bad: is not UTF-8 text (at byte 3)", [good, folder.write("bad", Array("abc".utf8) + [0xFF])])
        folder.makeFolder("pictures")
        folder.write("pictures/a.png", [0x89, 0x50, 0x4E, 0x47])
        try refuse("pictures: holds no text file: a.png is not UTF-8 text", [folder("pictures")])
        try refuse("good: is given twice", [good, good])
        try refuse("no text is given", [])
        try refuse("a context of 1 tokens is too short", [good], contextLength: 1)
        try refuse("less than one context of 5,000", [good], contextLength: 5000)
        try refuse("the texts fill 1 context of 600 tokens", [good], contextLength: 600)
    }

    @Test("a folder's text is read in the order of names, and files that are not text are left out")
    func folders() throws {
        let folder = TemporaryFolder()
        var random = SeededGenerator(seed: 3)
        folder.makeFolder("kind")
        folder.makeFolder("kind/b")
        let texts = (0..<3).map { _ in Self.prose(20, &random) }
        folder.write("kind/c", texts[2])
        folder.write("kind/b/x", texts[1])
        folder.write("kind/a", texts[0])
        folder.write("kind/d.png", [0x89, 0x50, 0x4E, 0x47])
        folder.write("kind/.hidden", Self.prose(20, &random))
        let model = try Self.model()
        let healing = try HealingText(
            sources: [.path(folder("kind"))], for: model, contextLength: 16, sizes: .init(fitting: 9999))
        let joined = folder.write("joined", texts.joined())
        let tokens = try ["a", "b/x", "c"].flatMap { try Corpus.tokens(of: .path(folder("kind/" + $0)), for: model) }
        #expect(try abs(tokens.count - Corpus.tokens(of: .path(joined), for: model).count) <= 2)
        let expected = Set((0..<tokens.count / 16).map { Array(tokens[$0 * 16..<$0 * 16 + 16]) })
        let found = [healing.fitting, healing.ranking, healing.choosing].flatMap(\.corpus.contexts)
        #expect(Set(found) == expected && found.count == expected.count)
        #expect(
            healing.notes.contains { $0.hasSuffix("kind: leaves out 1 file that is not UTF-8 text, such as d.png") })
    }
}
