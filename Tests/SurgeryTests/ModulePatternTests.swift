import Formats
import Surgery
import TestSupport
import Testing

@Suite("patterns of modules")
struct ModulePatternTests {
    /// What Python's re answers: fixtures/module-patterns.json, made by fixtures/make-module-patterns.py.
    private static let answers: (names: [String], patterns: [(text: String, found: String?)], refused: [String]) = {
        let text = String(decoding: Files.read(Fixture.path("module-patterns.json")), as: UTF8.self)
        let file = try? JSON.parse(text)
        let patterns = (file?["patterns"]?.array ?? []).map { row in
            (row.array?.first?.string ?? "", row.array?.last?.string)
        }
        return (strings(file?["names"]), patterns, strings(file?["refused"]))
    }()

    private static func strings(_ list: JSON?) -> [String] { (list?.array ?? []).compactMap(\.string) }

    @Test("a pattern matches where Python's re matches it, or is refused where Python refuses it")
    func found() throws {
        let (names, patterns, _) = ModulePatternTests.answers
        try #require(names.count > 30 && patterns.count > 150)
        for (text, expected) in patterns {
            let pattern = try? ModulePattern(text)
            guard let expected else {
                #expect(pattern == nil, "\(text)")
                continue
            }
            let found = names.map { name in
                pattern.map { "\(($0.matchesAll(of: name) ? 1 : 0) + ($0.matchesEnd(of: name) ? 2 : 0))" } ?? "-"
            }
            #expect(found.joined() == expected, "\(text)")
        }
    }

    @Test("what only Python understands is refused")
    func refusedKinds() throws {
        try #require(ModulePatternTests.answers.refused.count > 20)
        for text in ModulePatternTests.answers.refused {
            #expect(throws: NamePatternError.self, "\(text)") { try ModulePattern(text) }
        }
    }

    @Test(
        "the message says what is not understood",
        arguments: [
            ("(a)\\1", "contains '\\1', which resect does not support"),
            ("(?P<x>a)(?P=x)", "contains '(?P=', which resect does not support, at character 9"),
            ("(?<=a)b", "contains '(?<=', which resect does not support, at character 1"),
            ("a(?<!a)b", "contains '(?<!', which resect does not support, at character 2"),
            ("(?i)a", "contains '(?i', which resect does not support, at character 1"),
            ("(?>a)b", "contains '(?>', which resect does not support, at character 1"),
            ("(a)?(?(1)b|c)", "contains '(?(', which resect does not support, at character 5"),
            ("[[:alpha:]]", "has a named class, which resect does not support, at character 2"),
            ("a++", "has a quantifier after a quantifier, before character 4"),
            ("[\\b]", "contains '\\b', which resect does not support"),
            ("(?P<1>a)", "has a group whose name is not an identifier, before character 6"),
            ("(?P<x>a)(?P<x>b)", "has two groups named 'x'"),
        ])
    func refused(text: String, problem: String) {
        let error = #expect(throws: NamePatternError.self) { try ModulePattern(text) }
        #expect(error?.problem == problem, "\(text)")
    }

    @Test("a pattern that takes others an age takes no time")
    func hostile() throws {
        let name = String(repeating: "a", count: 300)
        let lookAheads = String(repeating: "(?=", count: 40) + "(a+)+" + String(repeating: ")*b*", count: 40)
        let texts = [
            "(a+)+b", "(a|a)*(a*)*(a?){100}(a+a+)+b", "(((((a+){9})+){9})+)b",
            String(repeating: "(?!(a+)+b)", count: 600) + "b",
            lookAheads, String(repeating: "(a|b)*", count: 1600) + "c", String(repeating: ".*", count: 3300) + "c",
            "(a" + String(repeating: "()", count: 4000) + "){255}b", "((((){255}){255}){255}){255}",
            String(repeating: "a{0}", count: 2500),
        ]
        for text in texts {
            let time = try ContinuousClock().measure {
                let pattern = try ModulePattern(text)
                #expect(!pattern.matchesAll(of: name) && !pattern.matchesEnd(of: name), "\(text.prefix(40))")
            }
            #expect(time < .seconds(2), "\(text.prefix(40))")
        }
    }

    @Test("what is too deep or too large is refused")
    func limits() {
        let deep = String(repeating: "(?:", count: 1000) + "a" + String(repeating: ")", count: 1000)
        let many = "(?=(a{200}){40})(?=(a{200}){40})"
        for (text, problem) in [
            (deep, "has more than 50 nested groups"), (many, "has more than 10,000 steps, including repetitions"),
            (String(repeating: "a|", count: 5000), "has more than 10,000 steps, including repetitions"),
        ] {
            let error = #expect(throws: NamePatternError.self) { try ModulePattern(text) }
            #expect(error?.problem == problem)
        }
    }

    @Test("any text is a pattern or refused, and matched or not, without a trap")
    func random() {
        var generator = SeededGenerator(seed: 1)
        let pieces = Array("ab.0()[]{}|*+?^$\\-,dwbBZ=!:P<n>\u{e9}").map(String.init)
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 1...12, using: &generator)).map { _ in
                pieces.randomElement(using: &generator) ?? ""
            }.joined()
            guard let pattern = try? ModulePattern(text) else { continue }
            for name in ["", "ab.0", "\n", "b\u{e9}\u{663}\n"] {
                _ = (pattern.matchesAll(of: name), pattern.matchesEnd(of: name))
            }
        }
    }
}
