internal import Checkpoints
internal import Formats

/// Translation of the tensors of one container to the names and row orders of the other.
enum CommonNames {
    /// The tensors of two checkpoints under comparable names: when only one is GGUF, its tensors get their HF names and
    /// row orders, and weights that either keeps in several tensors, such as NVFP4 with its scales, are decoded.
    ///
    /// - Throws: when a GGUF's names cannot be translated, or a quantized weight cannot be decoded.
    static func tensors(_ a: Checkpoint, _ b: Checkpoint) throws(CheckpointError) -> (a: [Tensor], b: [Tensor]) {
        guard (a.form == .gguf) != (b.form == .gguf) else { return (a.tensors, b.tensors) }
        return (try comparable(a), try comparable(b))
    }

    private static func comparable(_ checkpoint: Checkpoint) throws(CheckpointError) -> [Tensor] {
        let decoded = try DequantizeFolder(to: .f32).apply(to: checkpoint)
        return decoded.form == .gguf ? try TensorTranslation(decoded).result() : decoded.tensors
    }

    /// The tensors of a checkpoint with its own names or those of the other container, whichever has more names in a
    /// list.
    ///
    /// - Returns: the tensors, and the reason why the names of the other container are not available when the list
    ///   needs them.
    static func tensors(
        _ checkpoint: Checkpoint, like names: [String]
    ) -> (tensors: [Tensor], problem: CheckpointError?) {
        let known = Set(names.map(ExactString.init))
        func shared(_ tensors: [Tensor]) -> Int { tensors.count { known.contains(ExactString($0.name)) } }
        let own = shared(checkpoint.tensors)
        do throws(CheckpointError) {
            if checkpoint.form == .safetensors { return (checkpoint.tensors, nil) }
            let translated = try TensorTranslation(checkpoint).result()
            return (shared(translated) > own ? translated : checkpoint.tensors, nil)
        } catch {
            return (checkpoint.tensors, own == 0 ? error : nil)
        }
    }
}
