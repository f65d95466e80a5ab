import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("how a model was made")
struct ProvenanceTests {
    private static func provenance(_ options: String = #"{"layers": ["4:6"]}"#) throws -> Provenance {
        let text = #"{"command": "cut", "options": "# + options + #", "dropped": ["4:6"], "measured": {"cut": 41.5}}"#
        return try Provenance(try #require(JSON.parse(text).object), file: "recipe.json")
    }

    @Test("a history survives every container, and comes before the next step")
    func containers() throws {
        let history = try ProvenanceTests.provenance()
        let folder = try RecordProvenance(history).apply(to: Models.small())
        let gguf = try RecordProvenance(history).apply(to: Convert(to: .gguf).apply(to: Models.small()))
        let file = try RecordProvenance(history).apply(to: Convert(to: .safetensors).apply(to: Models.small()))
        for model in [folder, gguf, file] { #expect(try Provenance(of: model) == history) }
        #expect(gguf.metadata["resect.dropped_layers"] == .strings(["4:6"]))
        #expect(try Provenance(of: Models.small()) == nil)
    }

    @Test(
        "a member that is not known is refused by name",
        arguments: [
            (#"{"command": "cut", "layers": "4:6"}"#, "'layers' is not known"),
            (#"{"steps": [{"command": "cut", "speed": 1}]}"#, "'steps[0].speed' is not known"),
            (#"{"steps": [], "name": "x"}"#, "'name' is not known"), (#"{"steps": []}"#, "'steps' is not a list"),
            (#"{"options": {}}"#, "'command' is missing"),
            (#"{"command": "cut", "options": {"layers": 4}}"#, "'options.layers' is 4, not a text"),
            (#"{"command": "cut", "options": {"layers": [4]}}"#, "'options.layers' is [4], not a text"),
            (#"{"command": "cut", "dropped": [4]}"#, "'dropped' is [4], not a list of layers"),
        ])
    func unknown(text: String, message: String) throws {
        let object = try #require(JSON.parse(text).object)
        let error = #expect(throws: CheckpointError.self) { try Provenance(object, file: "recipe.json") }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }

    private static func card(_ text: String?, base: String? = nil) throws -> String {
        var model = try Models.small()
        if let text { model.companions.append(.init(name: "README.md", contents: Array(text.utf8))) }
        let result = try RecordProvenance(provenance(), baseModel: base).apply(to: model)
        #expect(result.companions.count { $0.name == "README.md" } == 1)
        return String(decoding: try #require(result.companion("README.md")).contents, as: UTF8.self)
    }

    @Test("a model card keeps what it says, and gets a base model and a section once")
    func cards() throws {
        let text = "---\nlicense: mit\nbase_model: a/b\n---\n# Title\n\nText.\n"
        let card = try ProvenanceTests.card(text, base: "c/d")
        #expect(card.hasPrefix("---\nlicense: mit\nbase_model: a/b\ntags:\n- resect\n---\n# Title\n\nText.\n\n## How"))
        #expect(card.contains("resect cut MODEL --layers=4:6") && card.contains("cut 41.5"))
        // The next step writes the section anew.
        #expect(try ProvenanceTests.card(card, base: "c/d") == card)
        let tagged = try ProvenanceTests.card("---\ntags: [x]\n---\nText", base: "c/d")
        #expect(tagged.hasPrefix("---\ntags: [x]\nbase_model: c/d\n---\nText\n\n## How"))
        #expect(try ProvenanceTests.card("Only text").hasPrefix("---\ntags:\n- resect\n---\nOnly text\n\n## How"))
        #expect(try ProvenanceTests.card(nil).hasPrefix("---\nlibrary_name: transformers\ntags:\n- resect\n---\n"))
    }

    @Test("the hash of an input changes with its settings, its tensors and its weights")
    func hashes() throws {
        let model = try Models.fixture()
        func hash(_ change: (inout Checkpoint) -> Void) throws -> String? {
            var changed = model
            change(&changed)
            return try Provenance.input(changed)["hash"]?.string
        }
        let hashes = [
            try hash { _ in }, try hash { $0.config?["rope_theta"] = .number("2.0") },
            try hash { $0.tensors[3].name += "x" },
            try hash { $0.tensors[3] = Models.zeros($0.tensors[3].name, $0.tensors[3].shape, .bf16) },
        ]
        #expect(Set(hashes).count == 4 && !hashes.contains(nil))
        #expect(try hash { $0.path = "/elsewhere/kjv-7m" } == hashes[0])
    }
}
