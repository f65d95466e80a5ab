public import Checkpoints
internal import Surgery

/// What the bytes of a shrunk model would buy without a cut: the whole model in the largest type of GGUF that is no larger.
public struct WholeAtSize: Sendable {
    /// The name of the type.
    public let type: String
    /// The whole model in it.
    public let checkpoint: Checkpoint

    /// Finds the type; `nil` when all are too large.
    public init?(_ model: Checkpoint, limit: Int) {
        var best: (type: String, checkpoint: Checkpoint)?
        for mixture in Mixture.all {
            var settings = Quantize.Settings(mixture)
            settings.allowsRequantize = true
            // A type that needs an importance matrix, or does not suit the shapes, is no choice.
            guard let whole = try? WholeAtSize.quantized(model, settings), whole.byteCount <= limit,
                whole.byteCount > best?.checkpoint.byteCount ?? 0
            else { continue }
            best = (mixture.name, whole)
        }
        guard let best else { return nil }
        (type, checkpoint) = best
    }

    private static func quantized(
        _ model: Checkpoint, _ settings: Quantize.Settings
    ) throws(CheckpointError) -> Checkpoint {
        let plain = try DequantizeFolder(to: .f32).apply(to: model)
        return try plain.applying([Convert.beforeQuantization(of: model, to: .gguf), Quantize(settings)])
    }
}
