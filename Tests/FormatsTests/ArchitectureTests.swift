import Formats
import Testing

@Suite("descriptions of architectures")
struct ArchitectureTests {
    /// The files as they are resolved, by name.
    static let resolved: [String: JSON] = {
        var known: [String: JSON] = [:]
        for file in EmbeddedFiles.parsed(under: "architectures/") {
            let value = try? Architecture.resolved(file.value, known)
            if let value, let name = value["name"]?.string { known[name] = value }
        }
        return known
    }()

    /// The paths of all objects of a value, the value itself first.
    private static func objects(_ value: JSON, _ path: [String] = []) -> [[String]] {
        guard let object = value.object else { return [] }
        return [path] + object.members.flatMap { objects($1, path + [$0]) }
    }

    /// A value with a member changed; `nil` takes it away.
    private static func with(_ value: JSON, _ path: [String], _ member: JSON?) -> JSON {
        guard let first = path.first else { return member ?? .null }
        var object = value.object ?? JSONObject()
        if path.count == 1 {
            object[first] = member
        } else {
            object[first] = with(object[first] ?? .null, Array(path.dropFirst()), member)
        }
        return .object(object)
    }

    @Test("a member that nobody knows is refused, wherever it stands", arguments: resolved.keys.sorted())
    func unknownMembers(name: String) throws {
        let value = try #require(ArchitectureTests.resolved[name])
        _ = try Architecture(value)
        for path in ArchitectureTests.objects(value) {
            // Tables of roles and of values take any member.
            let isTable = path.contains("constants") || ["fixed", "values"].contains(path.last)
            if isTable || path == ["settings"] || path == ["tensors"] { continue }
            let changed = ArchitectureTests.with(value, path + ["mistaken"], .string("both"))
            #expect(throws: DataFileError.self, "\(path)") { try Architecture(changed) }
        }
    }

    @Test(
        "a switch, a key or a length that is misspelt is refused",
        arguments: [
            (["layer", "norm"], #""rsm""#, "'layer.norm' is 'rsm'; known: rms, layer, plain"),
            (["layer", "rope", "pairs"], #""neox""#, "'layer.rope.pairs' is 'neox'; known: halves, neighbours"),
            (["layer", "ffn", "gated"], #""hidden_act""#, "'settings.hidden_act' is required, but missing"),
            (["layer", "window"], #""windows""#, "'settings.windows' is required, but missing"),
            (["settings", "heads", "gguf"], #""attention.head_count""#, "a key is written 'attention.head_count:u32'"),
            (["settings", "heads", "gguf"], #""attention.head_count:u8""#, "a key is written"),
            (["settings", "heads", "layers"], #""lists""#, "'settings.heads.layers' is 'lists'"),
            (["settings", "key_size", "default"], #"{"quotient": ["hidden"]}"#, "has 1 roles instead of two"),
            (["settings", "key_size", "default"], #"{"role": "head"}"#, "'settings.head' is required"),
            (
                ["settings", "key_size", "default"], #"{"role": "heads", "share": ["hidden", "heads"]}"#,
                "'settings.key_size.default.share' is not a member that resect knows"
            ),
            (
                ["tensors", "attention_q", "gguf"],
                #"{"of": "blk.{layer}.q", "dims": [["hidden", "hidden"]], "take": {"0": "hidden"}}"#,
                "is the length of several runs"
            ),
            (["settings", "tied"], "{}", "'settings.tied.hf' and 'gguf' are both missing"),
            (["settings", "other"], #"{"hf": "other"}"#, "'settings.other' is not used"),
            (["tensors", "ffn_up", "shape"], #"["fnn", "hidden"]"#, "'settings.fnn' is required"),
            (["tensors", "ffn_up", "hf"], #""up.weight""#, "a layer in only one of its names"),
            (["tensors", "ffn_up", "if"], #""mlp""#, "'settings.mlp' is required"),
            (
                ["tensors", "attention_q", "gguf"], #"{"of": "blk.{layer}.q", "dims": ["heads", 2], "take": {"2": 0}}"#,
                "names no axis of 2"
            ),
            (
                ["tensors", "attention_q", "gguf"],
                #"{"of": "blk.{layer}.q", "dims": ["heads", 3, "key_size"], "take": {"1": 0}, "order": [0, 1, 2]}"#,
                "is not an order of the 2 remaining axes"
            ),
            (["like"], #""lama""#, "'like' is not a member that resect knows"),
        ])
    func misspelt(path: [String], value: String, message: String) throws {
        let llama = try #require(ArchitectureTests.resolved["llama"])
        let changed = ArchitectureTests.with(llama, path, try JSON.parse(value))
        let error = #expect(throws: DataFileError.self) { try Architecture(changed) }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }

    @Test("with 'like', members merge one by one, and null takes one away")
    func like() throws {
        let llama = try #require(ArchitectureTests.resolved["llama"])
        let own = try JSON.parse(
            #"""
            {"name": "own", "like": "llama", "hf": {"classes": ["OwnForCausalLM"], "constants": {"use_cache": null}},
             "settings": {"norm_epsilon": {"hf": "eps"}, "window": {"hf": "w", "optional": true}},
             "layer": {"window": "window"}, "tensors": {"output": null}}
            """#)
        let value = try Architecture.resolved(own, ["llama": llama])
        let architecture = try Architecture(value), base = try Architecture(llama)
        #expect(architecture.classes == ["OwnForCausalLM"])
        #expect(architecture.modelTypes == base.modelTypes)
        #expect(architecture.constants.map(\.key) == base.constants.map(\.key).filter { $0 != "use_cache" })
        // The members of a setting merge too.
        let epsilon = try #require(architecture.setting("norm_epsilon"))
        #expect(epsilon.huggingFace == [["eps"]] && epsilon.gguf == base.setting("norm_epsilon")?.gguf)
        #expect(architecture.settings.count == base.settings.count + 1)
        #expect(architecture.layer?.window?.width == "window" && architecture.layer?.rope == base.layer?.rope)
        #expect(architecture.tensors == base.tensors.filter { $0.role != "output" })
        #expect(throws: DataFileError.self) { try Architecture.resolved(own, [:]) }
    }

    @Test("mistral is llama with a window")
    func mistral() throws {
        let mistral = try #require(Architecture.named(class: "MistralForCausalLM"))
        let llama = try #require(Architecture.named(class: "LlamaForCausalLM"))
        #expect(mistral.tensors == llama.tensors && mistral.gguf == llama.gguf)
        #expect(mistral.settings.filter { $0.role != "window" } == llama.settings)
        #expect(mistral.layer?.window?.width == "window" && llama.layer?.window == nil)
    }
}

@Suite("names of modules")
struct ModuleKindsTests {
    @Test("projections that runtimes fuse are found by the end of their names")
    func together() {
        let names = ModuleKinds.known
        #expect(
            names.together(with: "model.layers.3.self_attn.k_proj")
                == ["q", "k", "v"].map {
                    "model.layers.3.self_attn.\($0)_proj"
                })
        #expect(
            names.together(with: "a.block_sparse_moe.experts.0.w3")
                == ["w1", "w3"].map {
                    "a.block_sparse_moe.experts.0.\($0)"
                })
        #expect(names.together(with: "a.down_proj") == ["a.down_proj"])
        #expect(names.together(with: "a.xq_proj") == ["a.xq_proj"])
    }

    @Test("a name counts whole or behind a dot, and a member that is not known is refused")
    func names() throws {
        #expect(ModuleKinds.isNamed("mlp.gate", ["gate"]) && ModuleKinds.isNamed("gate", ["gate"]))
        #expect(!ModuleKinds.isNamed("mlp.up_gate", ["gate"]))
        let file = try JSON.parse(#"{"fused": [], "outputs": ["lm_head"], "router": ["gate"]}"#)
        #expect(throws: DataFileError.self) { try ModuleKinds(file) }
    }
}
