internal import Analysis
internal import Checkpoints
internal import Formats

/// A finished heal in a file: the fitted weights, and the rest in the header.
struct KeptHeal {
    /// Where the weights are.
    let file: KeptWeights

    /// The heal in the file; `nil` without one, and for another heal.
    ///
    /// - Throws: when the file cannot be read.
    func read() throws(CheckpointError) -> ClosedForm.Result? {
        guard let (weights, header) = try file.read(), let contexts = header["contexts"]?.int,
            let tokens = header["tokens"]?.int, let widest = header["widestInput"]?.int,
            let experts = header["layersOfExperts"]?.int
        else { return nil }
        return ClosedForm.Result(
            weights: weights, whole: Evaluation(kept: header["whole"]), cut: Evaluation(kept: header["cut"]),
            healed: Evaluation(kept: header["healed"]), contexts: contexts, tokens: tokens, widestInput: widest,
            layersOfExperts: experts)
    }

    /// Writes a heal.
    func write(_ result: ClosedForm.Result, threads: Int) throws(CheckpointError) {
        try file.write(
            result.weights,
            [
                ("whole", result.whole?.kept ?? .null), ("cut", result.cut?.kept ?? .null),
                ("healed", result.healed?.kept ?? .null), ("contexts", .int(result.contexts)),
                ("tokens", .int(result.tokens)), ("widestInput", .int(result.widestInput)),
                ("layersOfExperts", .int(result.layersOfExperts)),
            ], threads: threads)
    }
}
