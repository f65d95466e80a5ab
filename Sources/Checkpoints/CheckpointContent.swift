internal import Formats

extension Checkpoint {
    /// The kind of contents of a checkpoint: a model, or something used with one.
    public enum Content: Sendable, Equatable {
        /// A model.
        case model
        /// What changes the weights of another model, called its base where the files name it.
        case adapter(kind: String, base: String?)
        /// A direction for every layer, which is added to the hidden states of a model.
        case controlVector
        /// How much every column of a model's weights matters.
        case importanceMatrix
        /// An encoder of images or sound with the projector into a model's embedding: llama.cpp's mmproj file.
        case projector(of: String)

        /// The content in words: `a LoRA adapter`.
        public var name: String {
            switch self {
            case .model: "a model"
            case .adapter("lora", _): "a LoRA adapter"
            case .adapter: "an adapter"
            case .controlVector: "a control vector"
            case .importanceMatrix: "an importance matrix"
            case .projector(let input): "an encoder and projector of \(input) (mmproj)"
            }
        }

        /// What can be done instead.
        fileprivate var hint: String? {
            switch self {
            case .model: nil
            case .adapter(_, let base):
                "merge it into its base \(base.map { "'\($0)' " } ?? "")first, and name the result"
            case .controlVector: "use it with llama.cpp --control-vector"
            case .importanceMatrix: "use it with --imatrix of quantize and shrink"
            case .projector: "name the language model; convert and quantize keep this one as GGUF"
            }
        }
    }

    /// Refuses everything but language models.
    ///
    /// - Parameter allowsProjector: whether an encoder of images or sound will do.
    package func requireModel(allowsProjector: Bool = false) throws(CheckpointError) {
        switch content {
        case .model: return
        case .projector where allowsProjector: return
        case .projector:
            throw CheckpointError(file: path, "is \(content.name), not a language model", hint: content.hint)
        default: throw CheckpointError(file: path, "is \(content.name), not a model", hint: content.hint)
        }
    }
}

extension Checkpoint.Content {
    /// The kind of contents that a GGUF file states.
    init(_ metadata: GGUFMetadata) {
        func isTrue(_ key: String) -> Bool { metadata[key] == .bool(true) }
        let (type, architecture) = (metadata["general.type"]?.string, metadata.architecture)
        if type == "adapter" || metadata["adapter.type"] != nil {
            self = .adapter(
                kind: metadata["adapter.type"]?.string ?? "", base: metadata["general.base_model.0.name"]?.string)
        } else if architecture == "controlvector" {
            self = .controlVector
        } else if type == "imatrix" || metadata["imatrix.datasets"] != nil {
            self = .importanceMatrix
        } else if type == "mmproj" || architecture == "clip" {
            let (sees, hears) = (isTrue("clip.has_vision_encoder"), isTrue("clip.has_audio_encoder"))
            self = .projector(of: hears ? sees ? "images and sound" : "sound" : "images")
        } else {
            self = .model
        }
    }

    /// What the weights of a folder are.
    init(_ weights: WeightFiles, _ checkpoint: Checkpoint) {
        guard weights.isAdapter || Self.areAdapter(checkpoint.tensors) else {
            self = .model
            return
        }
        let file = checkpoint.companion("adapter_config.json")
        // An adapter whose configuration cannot be read is still one; the reader of adapters reports what is wrong.
        let config = file.flatMap { try? FileSystem.json($0.contents, path: $0.name) }
        let kind = config?["peft_type"]?.string?.lowercased()
        self = .adapter(
            kind: kind ?? (Self.areAdapter(checkpoint.tensors) ? "lora" : ""),
            base: config?["base_model_name_or_path"]?.string)
    }

    /// What the tensors of a file without a configuration are.
    init(_ tensors: [Tensor]) {
        self = Self.areAdapter(tensors) ? .adapter(kind: "lora", base: nil) : .model
    }

    private static func areAdapter(_ tensors: [Tensor]) -> Bool {
        !tensors.isEmpty && tensors.indices.allSatisfy { tensors[$0].name.contains("lora_") }
    }
}
