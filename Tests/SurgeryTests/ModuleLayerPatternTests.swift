import Formats
import Surgery
import TestSupport
import Testing

@Suite("layers in the names of modules")
struct ModuleLayerPatternTests {
    /// What peft answers: fixtures/module-selections.json, made by fixtures/make-module-selections.py.
    private static let answers = try? JSON.parse(
        String(decoding: Files.read(Fixture.path("module-selections.json")), as: UTF8.self))

    private static func strings(_ list: JSON?) -> [String] {
        (list?.array ?? []).compactMap(\.string)
    }

    private static func rows(_ key: String) -> [[JSON]] {
        (answers?[key]?.array ?? []).compactMap(\.array)
    }

    @Test(
        "the layer of a module is the one that peft sees for layers_to_transform and layers_pattern")
    func layers() throws {
        let names = ModuleLayerPatternTests.strings(ModuleLayerPatternTests.answers?["names"])
        let rows = ModuleLayerPatternTests.rows("layers")
        try #require(names.count > 30 && rows.count > 15)
        for row in rows {
            let pattern = try ModuleLayerPattern(ModuleLayerPatternTests.strings(row[0]))
            let found = try names.map { try pattern.layer(of: $0) ?? -1 }
            #expect(found == row[1].array?.compactMap(\.int), "\(row[0].compact)")
        }
    }

    @Test("modules_to_save names what peft keeps adapters away from")
    func saved() throws {
        let names = ModuleLayerPatternTests.strings(ModuleLayerPatternTests.answers?["names"])
        let rows = ModuleLayerPatternTests.rows("saved")
        try #require(names.count > 30 && rows.count > 15)
        for row in rows {
            let pattern = try ModulePattern(savedModule: row[0].string ?? "")
            #expect(
                names.map { pattern.matchesAll(of: $0) ? "1" : "0" }.joined() == row[1].string,
                "\(row[0].compact)")
        }
    }

    @Test(
        "a pattern that only Python's order of trials decides is refused, and one that runs into its surroundings"
    )
    func refused() throws {
        let name = "model.layers.1.mlp.experts.0.down_proj"
        let ambiguous = try ModuleLayerPattern(["l.*s"])
        #expect(try ambiguous.layer(of: "model.layers.1.mlp.down_proj") == 1)
        let error = #expect(throws: NamePatternError.self) { try ambiguous.layer(of: name) }
        #expect(error?.problem == "matches before several numbers of \(name)")
        for (text, problem) in [
            ("layers|h", "has alternatives outside a group"), ("", "is empty"),
            ("layers\\", "ends with a backslash"),
            ("*layers", "has a quantifier without an atom, at character 1"),
            ("a)(b", "closes a group that is not open, at character 2"),
        ] {
            let error = #expect(throws: NamePatternError.self) { try ModuleLayerPattern([text]) }
            #expect(error?.problem == problem)
        }
        let saved = #expect(throws: NamePatternError.self) { try ModulePattern(savedModule: "ab(?i)") }
        #expect(saved?.problem == "contains '(?i', which resect does not support, at character 3")
    }
}
