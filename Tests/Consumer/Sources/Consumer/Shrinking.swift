import Analysis
import Checkpoints
import Healing

/// Cuts, heals, quantizes and writes a model, and compares it with the whole one.
func shrink(_ path: String, layers count: Int, to output: String) throws -> Shrink.Result {
    var shrink = Shrink(drop: count, corpus: [.builtin], run: RunOptions(threads: 8))
    shrink.target = try ShrinkTarget(named: "Q4_K_M")
    shrink.contextLength = 256
    shrink.healSamples = 32
    let work = Work { event in
        if case .begins(let phase) = event { print(phase) }
        if case .note(let text) = event { print(text) }
    }
    return try shrink.run(Checkpoint.open(path), to: output, work: work)
}
