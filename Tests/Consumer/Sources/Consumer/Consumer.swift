import Analysis
import Checkpoints
import Healing
import Surgery

/// Runs the examples of the documents: `Consumer MODEL ADAPTER TEXT FOLDER`.
@main
struct Consumer {
    static func main() throws {
        let arguments = CommandLine.arguments
        let (model, adapter, text, folder) = (arguments[1], arguments[2], arguments[3], arguments[4])
        let whole = try Checkpoint.open(model)
        let cut = try cut(model, layers: 2, text: text, to: folder + "/cut")
        let count: JSON? = cut.config?["num_hidden_layers"]
        precondition(count?.int == whole.layerCount - 2 && cut.layerCount == whole.layerCount - 2)
        let quantized = try quantize(model, adapter: adapter, to: folder + "/merged.gguf")
        let types: Set<DType> = Set(quantized.tensors.map(\.dtype))
        precondition(types.contains(.q4_K) && quantized.layerCount == whole.layerCount)
        let made = try add("ramp", to: model, output: folder + "/made")
        guard let ramp = made.tensor(named: "ramp") else { fatalError("the tensor is missing") }
        let last = try ramp.withBytes(rows: 63..<64) { bytes throws(CheckpointError) in
            bytes.bindMemory(to: Float.self).last
        }
        precondition(last == 65_535 && made.tensors.count == whole.tensors.count + 2)
        let healed = try heal(model, without: [1..<2, 3..<4], text: [.builtin], to: folder + "/healed.gguf")
        precondition(healed.layerCount == whole.layerCount - 2)
        let result = try shrink(model, layers: 2, to: folder + "/small.gguf")
        precondition(result.written.layerCount == whole.layerCount - 2 && result.dropped.count == 2)
        let judged = result.steps.steps.map { "\($0.step.name) \(ShrinkSteps.perplexity($0.divergences, \.model))" }
        print("without \(result.dropped.words):", judged.joined(separator: ", "))
    }
}
