internal import Checkpoints
internal import Formats

/// Bringing the tensors of one container under the names of the other, and into its row orders.
enum CommonNames {
    /// The tensors of two checkpoints under names that can be compared: where one is GGUF and the other is not, the GGUF's
    /// get their HF names, and its rotated rows the order that they have there.
    ///
    /// - Throws: when a GGUF's names cannot be translated.
    static func tensors(_ a: Checkpoint, _ b: Checkpoint) throws(CheckpointError) -> (a: [Tensor], b: [Tensor]) {
        switch (a.form == .gguf, b.form == .gguf) {
        case (true, false): (try TensorTranslation(a).result(), b.tensors)
        case (false, true): (a.tensors, try TensorTranslation(b).result())
        default: (a.tensors, b.tensors)
        }
    }

    /// The tensors of a checkpoint under names of which a list holds the most: its own, or those of the other container.
    ///
    /// - Returns: the tensors; and why there are no names of the other container, where a list without its own asks for them.
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
