import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("modules that an adapter is for")
struct ModuleSelectionTests {
    @Test("a configuration selects the modules that peft selects")
    func selected() throws {
        // Made by fixtures/make-module-selections.py.
        let file = try JSON.parse(String(decoding: Files.read(Fixture.path("module-selections.json")), as: UTF8.self))
        let names = (file["names"]?.array ?? []).compactMap(\.string)
        let rows = (file["selections"]?.array ?? []).compactMap(\.array)
        try #require(names.count > 30 && rows.count > 25)
        for row in rows {
            let selection = try ModuleSelection(#require(row[0].object), path: "adapter_config.json")
            let found = try names.map { try selection.selects($0) == true ? "1" : "0" }.joined()
            #expect(found == row[1].string, "\(row[0].compact)")
        }
    }

    @Test(
        "what PEFT refuses, and what only Python understands, is refused with the key",
        arguments: [
            (
                #"{"target_modules": ".*q_proj", "layers_to_transform": [1]}"#,
                "has 'layers_to_transform', and 'target_modules' is not a list"
            ),
            (
                #"{"target_modules": "all-linear", "layers_pattern": "layers"}"#,
                "has 'layers_pattern', and 'target_modules' is not a list"
            ),
            (
                #"{"target_modules": ["q_proj"], "layers_pattern": "layers"}"#,
                "has 'layers_pattern' without 'layers_to_transform'"
            ),
            (
                #"{"target_modules": "(?i)q_proj"}"#,
                "the pattern '(?i)q_proj' of 'target_modules' contains '(?i', which resect does not support, at character 1"
            ),
            (
                #"{"target_modules": ["q_proj"], "exclude_modules": "(a"}"#,
                "the pattern '(a' of 'exclude_modules' does not close a group"
            ),
            (
                #"{"target_modules": ["q_proj"], "modules_to_save": ["head++"]}"#,
                "the pattern 'head++' of 'modules_to_save' has a quantifier after a quantifier, before character 7"
            ),
            (
                #"{"target_modules": ["q_proj"], "layers_to_transform": 1, "layers_pattern": ["h", "a|b"]}"#,
                "the pattern 'h, a|b' of 'layers_pattern' has alternatives outside a group"
            ),
        ])
    func refused(text: String, problem: String) throws {
        let object = try #require(JSON.parse(text).object)
        let error = #expect(throws: CheckpointError.self) { try ModuleSelection(object, path: "x/adapter_config.json") }
        #expect(error?.problem == problem)
    }
}
