import Checkpoints
import Foundation
import Formats
import Surgery
import TestSupport
import Testing

@Suite("merging adapters")
struct MergeTests {
    @Test("merged weights have the bits that PEFT gives in f32, rounded once", arguments: ["plain", "patterns"])
    func peft(name: String) throws {
        let text = Files.read(Fixture.path("adapters/merged.json"))
        let answers = try #require(JSON.parse(String(decoding: text, as: UTF8.self))[name]?.object)
        let base = try Checkpoint.open(Fixture.model)
        let merged = try base.applying([MergeAdapters([.init(Adapter(path: Fixture.path("adapters/" + name)))])])
        #expect(answers.count > 3)
        for (tensor, old) in zip(merged.tensors, base.tensors) {
            #expect(tensor.name == old.name && tensor.dtype == old.dtype && tensor.shape == old.shape)
            if let answer = answers[tensor.name]?.string {
                #expect(try hash(tensor) == answer, "\(tensor.name)")
            } else {
                #expect(tensor.recipe.description == old.recipe.description, "\(tensor.name) was changed")
            }
        }
    }

    @Test("an adapter in parts and in one pass is the same; its negative takes it out again in f32 to a few bits")
    func negative() throws {
        let base = try Checkpoint.open(Fixture.model)
        let adapter = try Adapter(path: Fixture.path("adapters/plain"))
        let both = try base.applying([
            MergeAdapters([.init(adapter, weight: 1), .init(adapter, weight: -1)]), Cast(to: .f32),
        ])
        for (tensor, old) in zip(both.tensors, base.tensors) {
            #expect(try largestDifference(tensor, old) < 1e-6, "\(tensor.name)")
        }
    }

    @Test("merging, then cutting, is cutting, then merging what is left")
    func cutCommutes() throws {
        let base = try Checkpoint.open(Fixture.model)
        let merge = MergeAdapters([.init(try Adapter(path: Fixture.path("adapters/patterns")))])
        let first = try base.applying([merge, CutLayers(layers: 6..<9)])
        for name in ["model.layers.3.self_attn.k_proj.weight", "model.layers.5.mlp.up_proj.weight"] {
            let whole = try #require(try base.applying([merge]).tensor(named: name))
            let cut = try #require(first.tensor(named: name))
            #expect(try hash(whole) == hash(cut))
        }
        #expect(first.layerCount == 9)
    }

    // MARK: adapters made here

    /// A folder with an adapter of rank 1 for the first query matrix, whose values are all the same, changed by `change`.
    private func adapter(
        _ folder: TemporaryFolder, _ config: [String: String] = [:],
        change: (inout [(String, [Int], [Float])]) -> Void = { _ in }
    ) -> String {
        let stem = "base_model.model.model.layers.0.self_attn.q_proj."
        var tensors: [(String, [Int], [Float])] = [
            (stem + "lora_A.weight", [1, 256], [Float](repeating: 0.25, count: 256)),
            (stem + "lora_B.weight", [256, 1], [Float](repeating: 0.5, count: 256)),
        ]
        change(&tensors)
        var members = [
            "peft_type": "\"LORA\"", "r": "1", "lora_alpha": "2", "target_modules": "[\"q_proj\"]",
            "layers_to_transform": "[0]",
        ]
        for (key, value) in config { members[key] = value }
        let text = members.filter { $0.value != "-" }.sorted { $0.key < $1.key }.map { "\"\($0.key)\": \($0.value)" }
        let path = folder.makeFolder("adapter")
        Files.write(path + "/adapter_config.json", Array("{\(text.joined(separator: ", "))}".utf8))
        Files.write(path + "/adapter_model.safetensors", MergeTests.file(tensors))
        return path
    }

    private static func file(_ tensors: [(String, [Int], [Float])]) -> [UInt8] {
        SafetensorsBytes(tensors.map { ($0.0, "F32", $0.1, $0.2.withUnsafeBytes { [UInt8]($0) }) }).bytes
    }

    @Test("the change is alpha / rank times the product, with the names of dumps and of training frameworks too")
    func names() throws {
        let base = try Checkpoint.open(Fixture.model), name = "model.layers.0.self_attn.q_proj.weight"
        let old = try #require(base.tensor(named: name))
        for (from, to) in [
            ("base_model.model.", ""), ("lora_A.weight", "lora_A.default.weight"),
            ("model.layers", "_orig_mod.model.layers"),
        ] {
            let folder = TemporaryFolder()
            let path = adapter(folder) { tensors in
                for index in tensors.indices {
                    tensors[index].0 = tensors[index].0.replacingOccurrences(of: from, with: to)
                    if to.contains("default") {
                        tensors[index].0 = tensors[index].0.replacingOccurrences(
                            of: "lora_B.weight", with: "lora_B.default.weight")
                    }
                }
            }
            let merged = try base.applying([MergeAdapters([.init(Adapter(path: path))]), Cast(to: .f32)])
            let tensor = try #require(merged.tensor(named: name))
            let (before, after) = (try floats(old), try floats(tensor))
            #expect(zip(before, after).allSatisfy { $1 == $0 + 0.25 })
        }
    }

    static let broken: [(String, [String: String], String)] = [
        ("another method", ["peft_type": "\"LOHA\""], "'peft_type' is LOHA"),
        ("no alpha", ["lora_alpha": "-"], "has no 'lora_alpha'"),
        ("alpha NaN", ["lora_alpha": "NaN"], "'lora_alpha' is NaN, not a finite number"),
        ("another rank", ["r": "2"], "says rank 2"),
        (
            "a pattern that matches nothing", ["alpha_pattern": "{\"x_proj\": 3}"],
            "'x_proj' of 'alpha_pattern' matches no module"
        ),
        ("a module that is not a target", ["target_modules": "[\"v_proj\"]"], "does not name in 'target_modules'"),
        ("a layer without tensors", ["layers_to_transform": "[0, 40]"], "names layer 40"),
        ("a missing layer", ["layers_to_transform": "-"], "has no adapter of model.layers.1.self_attn.q_proj"),
        ("an unknown setting", ["use_magic": "true"], "has 'use_magic', a setting that resect does not know"),
        ("DoRA without norms", ["use_dora": "true"], "says use_dora"),
        ("a changed base", ["init_lora_weights": "\"pissa\""], "'init_lora_weights' is 'pissa'"),
        ("repeated layers", ["layer_replication": "[[0, 2]]"], "has 'layer_replication'"),
    ]

    @Test("an adapter whose configuration is wrong is refused by name", arguments: broken)
    func configuration(what: String, config: [String: String], message: String) throws {
        let folder = TemporaryFolder(), base = try Checkpoint.open(Fixture.model)
        let path = adapter(folder, config)
        let error = #expect(throws: CheckpointError.self) {
            _ = try MergeAdapters([.init(Adapter(path: path))]).apply(to: base)
        }
        #expect(error?.description.contains(message) == true, "\(what): \(error?.description ?? "")")
    }

    static let brokenTensors: [(String, @Sendable (inout [(String, [Int], [Float])]) -> Void, String)] = [
        ("half a pair", { $0.removeLast() }, "half an adapter"),
        ("NaN", { $0[0].2[3] = .nan }, "holds NaN in row 0, column 3"),
        (
            "another width", { $0[0] = ($0[0].0, [1, 128], [Float](repeating: 1, count: 128)) },
            "is for a weight of [256, 128]"
        ),
        (
            "another rank", { $0[0] = ($0[0].0, [2, 128], [Float](repeating: 1, count: 256)) },
            "their ranks are 1 and 2"
        ),
        (
            "a module of another model",
            { for i in $0.indices { $0[i].0 = $0[i].0.replacingOccurrences(of: "layers.0", with: "blocks.0") } },
            "model.blocks.0.self_attn.q_proj"
        ),
        (
            "an unknown part", { $0.append(($0[0].0.replacingOccurrences(of: "lora_A", with: "lora_C"), [1], [1])) },
            "does not know"
        ),
        (
            "a whole weight",
            { $0.append(("base_model.model.model.norm.weight", [256], [Float](repeating: 1, count: 256))) },
            "does not name in 'modules_to_save'"
        ),
        (
            "a sum beyond f32", { for i in $0.indices { $0[i].2 = $0[i].2.map { $0 * 1e30 } } },
            "is infinite in row 0 after the merge"
        ),
    ]

    @Test("an adapter whose tensors are wrong is refused by name", arguments: brokenTensors.indices)
    func tensors(index: Int) throws {
        let (what, change, message) = MergeTests.brokenTensors[index]
        let folder = TemporaryFolder(), base = try Checkpoint.open(Fixture.model)
        let path = adapter(folder, change: change)
        let error = #expect(throws: CheckpointError.self) {
            let merged = try MergeAdapters([.init(Adapter(path: path))]).apply(to: base)
            _ = try floats(try #require(merged.tensor(named: "model.layers.0.self_attn.q_proj.weight")))
        }
        #expect(error?.description.contains(message) == true, "\(what): \(error?.description ?? "")")
    }

    private func floats(_ tensor: Tensor) throws -> [Float] {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            if tensor.dtype == .f32 { return Array(bytes.bindMemory(to: Float.self)) }
            return bytes.bindMemory(to: UInt16.self).map { Float(bitPattern: UInt32($0) << 16) }
        }
    }

    private func largestDifference(_ a: Tensor, _ b: Tensor) throws -> Float {
        zip(try floats(a), try floats(b)).reduce(0) { max($0, abs($1.0 - $1.1)) }
    }

    private func hash(_ tensor: Tensor) throws -> String {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            let value = bytes.reduce(UInt64(0xCBF2_9CE4_8422_2325)) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
    }
}
