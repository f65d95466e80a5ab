internal import Checkpoints
internal import Decoder

extension LoRATraining {
    /// Refuses a model that cannot be trained with the default settings on its MLP, nor on its attention alone.
    ///
    /// - Parameter checkpoint: a model under the names of a folder, with weights that can be multiplied.
    static func check(_ checkpoint: Checkpoint) throws(CheckpointError) {
        let model = try DecoderModel(checkpoint)
        var settings = TrainingSettings()
        do throws(CheckpointError) { try settings.check(model) } catch {
            settings.targets = [.query, .key, .value, .attentionOutput]
            do throws(CheckpointError) { try settings.check(model) } catch _ { throw error }
        }
    }
}
