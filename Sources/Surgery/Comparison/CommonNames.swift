internal import Checkpoints
internal import Formats

/// Translation of the tensors of one container to the names and row orders of the other.
enum CommonNames {
    /// The tensors of two checkpoints under comparable names: when only one is GGUF, its tensors get their HF names and
    /// row orders.
    ///
    /// - Throws: when a GGUF's names cannot be translated.
    static func tensors(_ a: Checkpoint, _ b: Checkpoint) throws(CheckpointError) -> (a: [Tensor], b: [Tensor]) {
        switch (a.form == .gguf, b.form == .gguf) {
        case (true, false): (try TensorTranslation(a).result(), b.tensors)
        case (false, true): (a.tensors, try TensorTranslation(b).result())
        default: (a.tensors, b.tensors)
        }
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
