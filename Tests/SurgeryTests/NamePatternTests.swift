import Formats
import Surgery
import TestSupport
import Testing

@Suite("patterns of names")
struct NamePatternTests {
    /// What std::regex_search finds: fixtures/patterns.json.
    private static let answers: (names: [String], patterns: [(text: String, found: [Bool]?)]) = {
        let text = String(decoding: Files.read(Fixture.path("patterns.json")), as: UTF8.self)
        let file = try? JSON.parse(text)
        let patterns = (file?["patterns"]?.array ?? []).map { row in
            (row.array?.first?.string ?? "", row.array?.last?.string.map { $0.map { $0 == "1" } })
        }
        return ((file?["names"]?.array ?? []).compactMap(\.string), patterns)
    }()

    @Test("a pattern is found where std::regex_search finds it, or refused where std::regex refuses it")
    func found() throws {
        let (names, patterns) = NamePatternTests.answers
        try #require(names.count > 20 && patterns.count > 300)
        for (text, expected) in patterns {
            let pattern = try? NamePattern(text)
            guard let expected else {
                #expect(pattern == nil, "\(text)")
                continue
            }
            let found = names.map { pattern?.matches($0) }
            #expect(found == expected, "\(text)")
        }
    }

    @Test(
        "what is not understood is refused, and why",
        arguments: [
            ("", "is empty"), ("a\\b", "contains '\\b', which resect does not support"),
            ("(a)\\1", "contains '\\1', which resect does not support"),
            ("\\D", "contains '\\D', which resect does not support"),
            ("a(?!b)", "has a look-ahead, which resect does not support, at character 3"),
            ("[[:digit:]]", "has a named class, which resect does not support, at character 2"),
            ("a**", "has a quantifier after a quantifier, before character 4"),
            ("*", "has a quantifier without an atom, at character 1"),
            ("a)", "closes a group that is not open, at character 2"), ("(a", "does not close a group"),
            ("[a", "does not close a class"), ("[]", "has an empty class"), ("[^]", "has an empty class"),
            ("a{300}", "has a count that is not a number up to 255, at character 3"),
            ("a{2,1}", "has a count that is not {m}, {m,} or {m,n}, before character 7"),
            ("[a-c-e]", "has '-' that is neither between two characters nor at an end of a class"),
            ("[\\d-e]", "has a range that begins with a backslash, at character 4"),
            ("[b-a]", "has a range whose end is not after its start, at character 3"),
            ("é", "contains a control character or one outside ASCII"), ("a\\", "ends with a backslash"),
            ("((a{200}){200}){200}", "has more than 10,000 steps, including repetitions"),
            (
                String(repeating: "(", count: 100) + "a" + String(repeating: ")", count: 100),
                "has more than 50 nested groups"
            ),
        ])
    func refused(text: String, problem: String) {
        let error = #expect(throws: NamePatternError.self) { try NamePattern(text) }
        #expect(error?.problem == problem, "\(text)")
    }

    @Test("a search that others need an age for takes no time")
    func linear() throws {
        let pattern = try NamePattern("(a|a)*(a*)*(a?){100}(a+a+)+b")
        let name = String(repeating: "a", count: 5000)
        let time = ContinuousClock().measure { #expect(!pattern.matches(name)) }
        #expect(time < .seconds(5))
    }

    @Test("repetitions of nothing take no time")
    func empty() throws {
        let time = try ContinuousClock().measure {
            for text in ["((((){255}){255}){255}){255}", "((((a{0}){255}){255}){255}){255}"] {
                let pattern = try NamePattern(text)
                #expect(pattern.matches("b"))
            }
        }
        #expect(time < .seconds(5))
    }

    @Test("any text is a pattern or refused, and searched or not, without a trap")
    func random() {
        var generator = SeededGenerator(seed: 1)
        let pieces = Array("ab.0()[]{}|*+?^$\\-,dw1").map(String.init)
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 1...12, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }.joined()
            guard let pattern = try? NamePattern(text) else { continue }
            for name in ["", "ab.0", "blk.10.ffn_down.weight"] { _ = pattern.matches(name) }
        }
    }
}
