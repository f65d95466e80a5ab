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
            (#"{"steps": [], "name": "x"}"#, "'name' is not known"), (#"{"steps": []}"#, "'steps' is no list"),
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
        String(decoding: try card(bytes: text.map { Array($0.utf8) }, base: base), as: UTF8.self)
    }

    private static func card(bytes: [UInt8]?, base: String? = nil) throws -> [UInt8] {
        let result = try RecordProvenance(provenance(), baseModel: base).apply(to: model(card: bytes))
        #expect(result.companions.count { $0.name == "README.md" } == 1)
        return try #require(result.companion("README.md")).contents
    }

    private static func model(card: [UInt8]?) throws -> Checkpoint {
        var model = try Models.small()
        if let card { model.companions.append(.init(name: "README.md", contents: card)) }
        return model
    }

    @Test("a model card keeps what it says, and gets a base model and a section once")
    func cards() throws {
        let text = "---\nlicense: mit\nbase_model: a/b\n---\n# Title\n\nText.\n"
        let card = try ProvenanceTests.card(text, base: "c/d")
        #expect(card.hasPrefix("---\nlicense: mit\nbase_model: a/b\ntags:\n- resect\n---\n# Title\n\nText.\n\n## How"))
        #expect(card.contains("resect cut MODEL -o OUTPUT --layers=4:6") && card.contains("cut 41.5"))
        // The next step writes the section anew.
        #expect(try ProvenanceTests.card(card, base: "c/d") == card)
        let tagged = try ProvenanceTests.card("---\ntags: [x]\n---\nText", base: "c/d")
        #expect(tagged.hasPrefix("---\ntags: [x]\nbase_model: c/d\n---\nText\n\n## How"))
        #expect(try ProvenanceTests.card("Only text").hasPrefix("---\ntags:\n- resect\n---\nOnly text\n\n## How"))
        #expect(try ProvenanceTests.card(nil).hasPrefix("---\nlibrary_name: transformers\ntags:\n- resect\n---\n"))
    }

    @Test("line ends, a byte order mark and bytes that are not UTF-8 stay, and so does what comes behind the section")
    func foreignCards() throws {
        let windows = try ProvenanceTests.card("---\r\nlicense: mit\r\n---\r\n# Title\r\n", base: "a/b")
        #expect(
            windows.hasPrefix(
                "---\r\nlicense: mit\r\nbase_model: a/b\r\ntags:\r\n- resect\r\n---\r\n# Title\r\n\r\n## How this"))
        #expect(windows.utf8.count { $0 == 0x0A } == windows.utf8.count { $0 == 0x0D })
        #expect(try ProvenanceTests.card(windows, base: "a/b") == windows)
        let marked: [UInt8] = [0xEF, 0xBB, 0xBF] + Array("---\na: b\n---\n".utf8) + [0xE9, 0xFF, 0x0A]
        let card = try ProvenanceTests.card(bytes: marked)
        #expect(
            card.starts(
                with: [0xEF, 0xBB, 0xBF] + Array("---\na: b\ntags:\n- resect\n---\n".utf8) + [0xE9, 0xFF, 0x0A]))
        // A section of the same name that is not resect's, and one that the user wrote behind resect's.
        let own = try ProvenanceTests.card("# A\n\n## How this model was made\n\nBy hand.\n")
        #expect(
            own.hasPrefix(
                "---\ntags:\n- resect\n---\n# A\n\n## How this model was made\n\nBy hand.\n\n## How this model"))
        let longer = own + "\n## License\n\nMIT\n"
        #expect(try ProvenanceTests.card(longer) == longer)
    }

    @Test("a model without its history has no section about it, and its card is else as it was")
    func removed() throws {
        for text in ["---\ntags: [x]\n---\n# Title\n\nText.\n", "---\ntags: [x]\n---\n# Title\n\n## License\n\nMIT\n"] {
            let recorded = try RecordProvenance(ProvenanceTests.provenance()).apply(
                to: ProvenanceTests.model(card: Array(text.utf8)))
            let result = RecordProvenance.removed(from: recorded)
            #expect(result.companion("resect.json") == nil)
            #expect(result.companion("README.md")?.contents == Array(text.utf8))
        }
    }

    @Test("a file that lists as many cuts as it has layers is cut again")
    func listed() throws {
        let model = try RecordProvenance(
            Provenance(#require(JSON.parse(#"{"command": "cut", "dropped": ["0:1", "2:3", "4:5"]}"#).object), file: "r")
        ).apply(to: Models.gguf("toy", layers: 3))
        #expect(model.metadata["resect.dropped_layers"]?.array?.count == 3)
        #expect(try CutLayers(layers: 1..<2).apply(to: model).layerCount == 2)
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
