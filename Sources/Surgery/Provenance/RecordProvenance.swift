public import Checkpoints
internal import Formats

/// Writes into a checkpoint how it was made; a folder gets a model card too.
public struct RecordProvenance: Edit {
    /// What is written.
    public let provenance: Provenance
    /// The name of the original model on the Hugging Face hub, for the model card; `nil` where it is not known.
    public let baseModel: String?

    /// An edit.
    public init(_ provenance: Provenance, baseModel: String? = nil) {
        self.provenance = provenance
        self.baseModel = baseModel
    }

    /// The checkpoint without a history, which would lack a step.
    public static func removed(from checkpoint: Checkpoint) -> Checkpoint {
        var result = checkpoint
        switch checkpoint.container {
        case .gguf:
            for pair in checkpoint.metadata.pairs where pair.key.hasPrefix("resect.") {
                result.metadata[pair.key] = nil
            }
        case .safetensors(var header):
            guard header?[Provenance.key] != nil else { break }
            header?[Provenance.key] = nil
            result.container = .safetensors(header: header)
        case .folder:
            result.companions.removeAll { $0.name == Provenance.fileName }
            if let card = checkpoint.companion(CardText.fileName) {
                replace(CardText.fileName, CardText(card.contents).withoutHistory, in: &result)
            }
        }
        return result
    }

    /// The checkpoint with the history in the form of its container.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        var result = checkpoint
        let json = JSON.object(provenance.json)
        switch checkpoint.container {
        case .gguf:
            result.metadata["resect.version"] = .string(provenance.version)
            let dropped = provenance.steps.flatMap(\.dropped)
            if !dropped.isEmpty { result.metadata["resect.dropped_layers"] = .strings(dropped) }
            result.metadata[Provenance.key] = .string(json.compact)
        case .safetensors(let header):
            var header = header ?? JSONObject()
            header[Provenance.key] = .string(json.compact)
            result.container = .safetensors(header: header)
        case .folder:
            let card = CardText(checkpoint.companion(CardText.fileName)?.contents ?? [])
            Self.replace(Provenance.fileName, Array(json.pretty.utf8), in: &result)
            Self.replace(
                CardText.fileName, card.adding(provenance, baseModel: baseModel, of: checkpoint), in: &result)
        }
        return result
    }

    /// Gives a file of a folder other contents; a file that is not there comes last.
    private static func replace(_ name: String, _ contents: [UInt8], in checkpoint: inout Checkpoint) {
        let file = Checkpoint.Companion(name: name, contents: contents)
        if let index = checkpoint.companions.firstIndex(where: { $0.name == name }) {
            checkpoint.companions[index] = file
        } else {
            checkpoint.companions.append(file)
        }
    }
}
