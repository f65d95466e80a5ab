import Checkpoints
import Decoder
import Formats
import Surgery
import Testing
import TestSupport

/// What transformers computes in f32, fixtures/states/.
struct KnownStates {
    let contexts: [[Int32]]
    /// The places in a context whose states are known.
    let tokens: [Int]
    /// The norm and the first values of a state by layer, context and place; last the raw output of the last layer.
    let states: [[[(norm: Double, values: [Double])]]]
    /// The negative log-likelihood of every token but the first, for each context.
    let losses: [[Double]]

    static let models = ["kjv-7m", "llama3", "mistral"]

    init(_ name: String) throws {
        let text = String(decoding: Files.read(Fixture.path("states/\(name).json")), as: UTF8.self)
        let known = try JSON.parse(text)
        func list<Element>(_ value: JSON?, _ element: (JSON) -> Element) -> [Element] {
            (value?.array ?? []).map(element)
        }
        contexts = list(known["contexts"]) { list($0) { Int32($0.int ?? -1) } }
        tokens = list(known["tokens"]) { $0.int ?? -1 }
        states = list(known["states"]) { layer in
            list(layer) { context in
                list(context) { state in
                    (state["norm"]?.double ?? .nan, list(state["values"]) { $0.double ?? .nan })
                }
            }
        }
        losses = list(known["losses"]) { list($0) { $0.double ?? .nan } }
    }

    static func checkpoint(_ name: String) throws -> Checkpoint {
        try Checkpoint.open(Fixture.path(name == "kjv-7m" ? name : "tiny/\(name)"))
    }

    /// The model in the form of a GGUF file.
    static func gguf(_ name: String) throws -> Checkpoint { try gguf(checkpoint(name)) }

    /// A folder in the form of a GGUF file, with a vocabulary that a tiny model does not bring along.
    static func gguf(_ folder: Checkpoint) throws -> Checkpoint {
        var checkpoint = folder
        if checkpoint.companion("tokenizer.json") == nil {
            let tokens = (0..<64).map { "t\($0)" }
            checkpoint.companions = try Vocabulary(
                preTokenizer: "gpt-2", tokens: tokens, kinds: tokens.map { _ in .normal }, merges: []
            ).folderFiles()
        }
        return try Convert(to: .gguf).apply(to: checkpoint)
    }
}

/// Runs all layers, and gives the states before each and behind the last.
func allStates(
    _ checkpoint: Checkpoint, _ contexts: [[Int32]], precision: ForwardPass.Precision = .f32, threads: Int = 2
) throws -> [[Float]] {
    let pass = try ForwardPass(DecoderModel(checkpoint), contexts: contexts, precision: precision, threads: threads)
    var states = [pass.copiedStates]
    while pass.layer < pass.model.plan.layers.count {
        try pass.advance()
        states.append(pass.copiedStates)
    }
    return states
}

extension ForwardPass {
    var copiedStates: [Float] {
        Array(UnsafeBufferPointer(start: states, count: contextCount * contextLength * model.plan.hidden))
    }

    /// The loss of every token but the first of each context.
    func allLosses(threads: Int = 2, _ contexts: [[Int32]]) throws -> [Double] {
        let targets = contexts.enumerated().flatMap { number, context in
            context.indices.dropLast().map { (index: number * contextLength + $0, token: context[$0 + 1]) }
        }
        return try losses(of: targets, threads: threads)
    }
}
