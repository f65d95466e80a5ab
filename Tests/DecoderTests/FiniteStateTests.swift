import Checkpoints
import Decoder
import Formats
import ModelSupport
import Testing
import TestSupport
import Weights

/// A tensor in f32 with one value replaced.
private struct Changed: RowSource {
    let source: Tensor
    let index: Int
    let value: Float

    var description: String { "\(source.recipe) with \(value)" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        try source.withBytes(rows: rows) { output.copyMemory(from: $0) }
        guard rows.contains(index / source.rowLength) else { return }
        let place = index - rows.lowerBound * source.rowLength
        output.storeBytes(of: value, toByteOffset: 4 * place, as: Float.self)
    }
}

extension Checkpoint {
    /// The model with the first value of a tensor replaced.
    fileprivate func changing(_ name: String, at index: Int = 0, to value: Float) throws -> Checkpoint {
        var result = self
        let place = try #require(tensors.firstIndex { $0.name == name })
        result.tensors[place].recipe = .computed(Changed(source: tensors[place], index: index, value: value))
        return result
    }
}

@Suite("a weight that is NaN")
struct FiniteStateTests {
    /// A class, its settings, and a weight of layer 1: in a folder and in GGUF.
    static let cases: [(kind: String, name: String, members: String, folder: String, gguf: String)] = [
        (
            "gated MLP", "Qwen3ForCausalLM", #"{"head_dim": 16}"#, "model.layers.1.mlp.up_proj.weight",
            "blk.1.ffn_up.weight"
        ),
        (
            "values of attention", "Qwen3ForCausalLM", #"{"head_dim": 16}"#, "model.layers.1.self_attn.v_proj.weight",
            "blk.1.attn_v.weight"
        ),
        (
            "parallel", "GPTNeoXForCausalLM", #"{"rotary_pct": 0.25, "hidden_act": "gelu"}"#,
            "gpt_neox.layers.1.mlp.dense_h_to_4h.weight", "blk.1.ffn_up.weight"
        ),
        (
            "parallel with one norm", "CohereForCausalLM", #"{"logit_scale": 0.5}"#,
            "model.layers.1.input_layernorm.weight", "blk.1.attn_norm.weight"
        ),
        (
            "norms behind", "Olmo2ForCausalLM", "{}", "model.layers.1.post_feedforward_layernorm.weight",
            "blk.1.post_ffw_norm.weight"
        ),
        (
            "Conv1D", "GPT2LMHeadModel",
            #"{"n_layer": 3, "n_embd": 32, "n_inner": 128, "n_head": 4, "n_positions": 64, "layer_norm_epsilon": 1e-5, "activation_function": "gelu_new"}"#,
            "transformer.h.1.mlp.c_fc.weight", "blk.1.ffn_up.weight"
        ),
        (
            "router", "Qwen2MoeForCausalLM", experts, "model.layers.1.mlp.gate.weight", "blk.1.ffn_gate_inp.weight"
        ),
        (
            "shared expert", "Qwen2MoeForCausalLM", experts, "model.layers.1.mlp.shared_expert.down_proj.weight",
            "blk.1.ffn_down_shexp.weight"
        ),
    ]
    private static let experts =
        #"{"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 40, "norm_topk_prob": false}"#

    private static let contexts: [[Int32]] = {
        var random = SeededGenerator(seed: 12)
        return (0..<2).map { _ in (0..<20).map { _ in Int32.random(in: 0..<64, using: &random) } }
    }()

    /// The message of a pass over a model.
    private static func message(_ checkpoint: Checkpoint) throws -> String? {
        let model = try DecoderModel(checkpoint)
        let pass = try ForwardPass(
            model, contexts: contexts, precision: .f32, threads: 2,
            observer: FiniteStates(model, contextLength: contexts[0].count))
        do {
            while pass.layer < model.plan.layers.count { try pass.advance() }
            return nil
        } catch { return error.description }
    }

    /// The first token whose state behind layer 1 differs between two models.
    private static func firstDifference(_ a: Checkpoint, _ b: Checkpoint) throws -> Int? {
        let (a, b) = (try allStates(a, contexts)[2], try allStates(b, contexts)[2])
        return zip(a, b).enumerated().first { $1.0 != $1.1 }.map { $0.offset / 32 }
    }

    private static func expected(_ token: Int) -> String {
        let length = contexts[0].count
        return "layer 1 computes NaN or infinity, first for token \(token % length) of context \(token / length)"
    }

    @Test("is told by its layer and the first token that uses it", arguments: cases.map(\.kind))
    func block(kind: String) throws {
        let block = try #require(FiniteStateTests.cases.first { $0.kind == kind })
        let folder = try RandomModels.folder(block.name, block.members)
        for (model, name) in [(folder, block.folder), (try KnownStates.gguf(folder), block.gguf)] {
            // Another value of the same weight shows which tokens it has to do with.
            let other = try model.changing(name, to: 7)
            let first = try #require(try FiniteStateTests.firstDifference(model, other))
            let found = try FiniteStateTests.message(try model.changing(name, to: .nan))
            #expect(found?.contains(FiniteStateTests.expected(first)) == true, "\(found ?? "")")
            #expect(try FiniteStateTests.message(other) == nil)
            let pass = try IncrementalPass(DecoderModel(model.changing(name, to: .nan)), threads: 1)
            let error = #expect(throws: CheckpointError.self) { try pass.append([FiniteStateTests.contexts[0]]) }
            #expect(error?.description.contains("layer 1 computes NaN or infinity, first for token \(first)") == true)
        }
    }

    @Test("in an expert is told by the first token that the router sends there")
    func expert() throws {
        let model = try RandomModels.folder("Qwen2MoeForCausalLM", FiniteStateTests.experts)
        var firsts: [Int] = []
        for expert in 0..<4 {
            let name = "model.layers.1.mlp.experts.\(expert).down_proj.weight"
            let first = try FiniteStateTests.firstDifference(model, try model.changing(name, to: 7))
            let found = try FiniteStateTests.message(try model.changing(name, to: .nan))
            guard let first else {
                #expect(found == nil)
                continue
            }
            firsts.append(first)
            #expect(found?.contains(FiniteStateTests.expected(first)) == true, "\(found ?? "")")
        }
        // A token has two experts.
        #expect(firsts.count { $0 == 0 } == 2 && firsts.contains { $0 > 0 })
    }

    @Test("has no effect in experts that come after those that the router rates alike")
    func ties() throws {
        let members = #"{"num_local_experts": 4, "num_experts_per_tok": 2}"#
        var model = try RandomModels.folder("MixtralForCausalLM", members)
        let router = "model.layers.1.block_sparse_moe.gate.weight"
        let index = try #require(model.tensors.firstIndex { $0.name == router })
        let zeros = SafetensorsBytes([
            (name: router, dtype: "F32", shape: [4, 32], data: littleEndian([Float](repeating: 0, count: 128)))
        ])
        let folder = TemporaryFolder()
        model.tensors[index] = try Checkpoint.open(folder.write("x.safetensors", zeros.bytes)).tensors[0]
        for expert in 0..<4 {
            let name = "model.layers.1.block_sparse_moe.experts.\(expert).w2.weight"
            let found = try FiniteStateTests.message(try model.changing(name, to: .nan))
            #expect((found == nil) == (expert >= 2), "\(found ?? "")")
        }
        let states = try (1...3).map { try allStates(model, FiniteStateTests.contexts, threads: $0) }
        #expect(states[0] == states[1] && states[0] == states[2])
    }
}
