internal import Formats

/// LongRoPE in GGUF: two tensors of factors, the original context and the factor of sines and cosines.
extension RopeScaling.LongRoPE {
    private static let names = (short: "rope_factors_short.weight", long: "rope_factors_long.weight")

    /// Reads the scaling of a GGUF file; `nil` when it has no tensors of factors.
    init?(_ checkpoint: Checkpoint) throws(CheckpointError) {
        guard let short = try checkpoint.factors(RopeScaling.LongRoPE.names.short),
            let long = try checkpoint.factors(RopeScaling.LongRoPE.names.long)
        else { return nil }
        let key = "rope.scaling.original_context_length"
        guard let context = checkpoint.metadata.setting(key)?.int, context > 1 else {
            throw CheckpointError(
                file: checkpoint.path,
                "has LongRoPE's factors and no '\(checkpoint.metadata.architecture ?? "").\(key)'")
        }
        let magnitude = checkpoint.metadata.setting("rope.scaling.attn_factor")?.json.double ?? 1
        let longest = Double(checkpoint.metadata.setting("context_length")?.int ?? 0)
        let standard = RopeScaling.LongRoPE.magnitude(factor: longest / Double(context), context)
        self.init(
            short: short, long: long, originalContext: context, magnitude: magnitude,
            statesMagnitude: Float(standard) != Float(magnitude))
    }

    /// The GGUF key of the factor of sines and cosines; tensors and settings state the rest.
    func ggufPairs(prefix: String) -> [GGUFMetadata.Pair] {
        [GGUFMetadata.Pair(key: "\(prefix).rope.scaling.attn_factor", value: .f32(Float(magnitude)))]
    }

    /// The tensors of the factors.
    var ggufTensors: [Tensor] {
        [
            Tensor(name: RopeScaling.LongRoPE.names.long, values: long),
            Tensor(name: RopeScaling.LongRoPE.names.short, values: short),
        ]
    }
}
