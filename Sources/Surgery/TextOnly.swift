public import Checkpoints
internal import Formats

/// The language model of a checkpoint that takes images or sound too, as a folder of the text class of its family.
public struct TextOnly: Edit {
    /// The edit.
    public init() {}

    /// The files that say how images and sound are prepared.
    private static let processors = [
        "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json",
        "image_processor_config.json",
    ]

    /// The language model alone.
    ///
    /// - Throws: for a checkpoint that is one already, and for a tensor that is neither of the language model nor of a
    ///   part that is known to lie beside one.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard checkpoint.form == .folder, let config = checkpoint.config else {
            throw CheckpointError(file: checkpoint.path, "is not a folder; --text-only needs one")
        }
        let architecture = try Convert.architecture(of: checkpoint)
        var result = checkpoint
        let path = Settings.configPath(of: checkpoint, architecture)
        let names = result.removeOtherParts(architecture)
        guard !path.isEmpty || !names.isEmpty else {
            throw CheckpointError(file: checkpoint.path, "has nothing besides its language model")
        }
        result.config = text(config, at: path, architecture)
        result.companions.removeAll { TextOnly.processors.contains($0.name) }
        for index in result.tensors.indices { try result.rename(index, architecture) }
        result.layerPrefix = nil
        result.note(Checkpoint.leftAside(names))
        return result
    }

    /// The family of a language model: that of its own configuration, where the class around it takes several.
    private static func family(of config: JSONObject, in architecture: Architecture) -> Architecture {
        guard let written = architecture.writtenFamily else { return architecture }
        let stated = config["model_type"]?.string.flatMap(Architecture.named(modelType:))
        return stated ?? Architecture.all.first { $0.name == written } ?? architecture
    }

    /// The configuration of the language model as that of a whole one: with the members that only the top states.
    private func text(_ config: JSONObject, at path: [String], _ architecture: Architecture) -> JSONObject {
        var result = config.value(at: path)?.object ?? config
        let family = TextOnly.family(of: result, in: architecture)
        result["architectures"] = .array(family.classes.prefix(1).map(JSON.string))
        result["model_type"] = .string(family.modelTypes.first ?? "")
        guard !path.isEmpty else { return result }
        for key in ["bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype", "tie_word_embeddings"]
        where result[key] == nil {
            result[key] = config[key]
        }
        result["transformers_version"] = config["transformers_version"]
        return result
    }
}

extension Checkpoint {
    /// Takes away tensors beside the language model: a vision tower, a projector. Tensors that have a role stay.
    ///
    /// - Returns: the names of the parts, each with the number of its tensors.
    mutating func removeOtherParts(_ architecture: Architecture) -> [(name: String, count: Int)] {
        var counts: [(name: String, count: Int)] = []
        tensors.removeAll { tensor in
            guard LayerChoice.namesOther(tensor.name), !architecture.hasRole(tensor.name) else { return false }
            // `model.vision_tower.encoder.…` is of the part vision_tower.
            let name = tensor.name.split(separator: ".").first { LayerChoice.namesOther(String($0)) }.map(String.init)
            let part = name ?? tensor.name
            if let index = counts.firstIndex(where: { $0.name == part }) {
                counts[index].count += 1
            } else {
                counts.append((part, 1))
            }
            return true
        }
        return counts
    }

    /// Says what is not part of the result.
    static func leftAside(_ parts: [(name: String, count: Int)]) -> String {
        let list = parts.map { "\($0.name) (\($0.count.grouped) tensor\($0.count == 1 ? "" : "s"))" }
        return "left out, because they do not belong to the language model: " + list.joined(separator: ", ")
    }

    /// Gives a tensor the first of the names that its roles may have.
    fileprivate mutating func rename(_ index: Int, _ architecture: Architecture) throws(CheckpointError) {
        for role in architecture.tensors {
            guard let part = role.huggingFace else { continue }
            for name in part.names {
                switch name.match(tensors[index].name) {
                case .none: continue
                case .whole: tensors[index].name = part.name(layer: nil)
                case .layer(let layer):
                    tensors[index].name = part.name(layer: layer, expert: name.expert(in: tensors[index].name) ?? 0)
                }
                return
            }
        }
        if architecture.unused.contains(where: { $0.match(tensors[index].name) != .none }) { return }
        throw CheckpointError(
            file: path, tensor: tensors[index].name,
            "belongs neither to the language model of \(architecture.name) nor to a part for images or sound that resect knows"
        )
    }
}

extension Architecture {
    /// Whether a tensor of a folder has a role, or is known to be unused.
    fileprivate func hasRole(_ name: String) -> Bool {
        tensors.contains { $0.huggingFace.map { $0.match(name) != .none } ?? false }
            || unused.contains { $0.match(name) != .none }
    }
}
