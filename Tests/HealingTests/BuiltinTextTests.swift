import Analysis
import Checkpoints
import Healing
import TestSupport
import Testing

@Suite("the text that comes with resect")
struct BuiltinTextTests {
    @Test("six kinds rank and fit, another one chooses, and two more judge")
    func kinds() throws {
        let folder = TemporaryFolder()
        var random = SeededGenerator(seed: 1)
        let own = folder.write("own", HealingTextTests.prose(200, &random))
        let text = try HealingText(
            sources: [.builtin, .path(own)], for: HealingTextTests.model(), contextLength: 256,
            sizes: .init(fitting: 280))
        let fitted = ["novels", "manuals", "code", "tables", "dialogue", "scripts"].map { "builtin/\($0)" }
        #expect(text.fitting.kinds.map(\.name) == fitted + [own])
        #expect(text.ranking.kinds.map(\.name) == fitted + [own])
        #expect(text.heldOut == "builtin/standards")
        #expect(text.choosing.kinds.map(\.name) == ["builtin/standards"])
        #expect(text.judging.kinds.map(\.name) == fitted + ["builtin/perl", "builtin/science"])
        // The user's kind has its turn as every other one.
        let counts = text.fitting.kinds.map(\.corpus.contexts.count)
        #expect(text.fitting.corpus.contexts.count == 280)
        #expect(counts.allSatisfy { $0 == 40 } || counts.last.map { $0 < 40 } == true)
        #expect(text.judging.kinds.allSatisfy { $0.corpus.contexts.count == 16 })
        #expect(text.notes == ["builtin/standards is held out for choosing; nothing is fitted on it"])
    }

    @Test("no context that judges is in another part, whatever the seed")
    func judging() throws {
        let model = try HealingTextTests.model()
        let one = try HealingText(
            sources: [.builtin], for: model, contextLength: 128, sizes: .init(fitting: 100_000), seed: 1)
        let two = try HealingText(
            sources: [.builtin], for: model, contextLength: 128, sizes: .init(fitting: 500), seed: 2)
        #expect(one.judging.corpus.contexts == two.judging.corpus.contexts)
        let judged = Set(one.judging.corpus.contexts)
        for text in [one, two] {
            for part in [text.ranking, text.fitting, text.choosing] {
                #expect(!part.corpus.contexts.isEmpty)
                #expect(judged.isDisjoint(with: part.corpus.contexts))
            }
        }
        #expect(one.fitting.corpus.contexts.prefix(500) != two.fitting.corpus.contexts[...])
    }
}
