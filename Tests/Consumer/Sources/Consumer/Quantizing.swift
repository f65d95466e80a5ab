import Checkpoints
import Surgery

/// Merges an adapter into a model and writes it as GGUF with 4 bits for most weights, in one pass.
func quantize(_ path: String, adapter: String, to output: String) throws -> Checkpoint {
    let model = try Checkpoint.open(path)
    guard let mixture = Mixture.named("Q4_K_M") else { throw CheckpointError("Q4_K_M is not known") }
    let quantized = try model.applying([
        MergeAdapters([.init(Adapter(path: adapter))], threads: 8), Convert(to: .gguf, dtype: .f32),
        Quantize(Quantize.Settings(mixture)),
    ])
    return try CheckpointWriter(threads: 8).write(OutputPlan(quantized), to: output)
}
