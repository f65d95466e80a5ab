public import Formats

extension Checkpoint {
    /// The container of the tensors, with everything else in it.
    public enum Container: Sendable {
        /// An HF folder: safetensors or PyTorch files with their configuration.
        case folder(Folder)
        /// A single safetensors or PyTorch file, with `__metadata__` of its header.
        case safetensors(header: JSONObject?)
        /// A GGUF file, or all shards of a split one.
        case gguf(GGUFMetadata)
    }

    /// The contents of an HF folder except tensors.
    public struct Folder: Sendable {
        /// `config.json`, when there is one.
        public var config: JSONObject?
        /// `__metadata__` of the first safetensors file.
        public var headerMetadata: JSONObject?
        /// The other files that travel with the tensors, in order of their names.
        public var companions: [Companion]
        /// Names in the folder that are not copied: other weights, images, very large texts.
        public internal(set) var leftOut: [String] = []
        /// The name of the file of weights without its ending, as its readers expect it.
        package var weightsName = WeightFiles.modelName

        /// A folder with these files.
        public init(config: JSONObject? = nil, headerMetadata: JSONObject? = nil, companions: [Companion] = []) {
            self.config = config
            self.headerMetadata = headerMetadata
            self.companions = companions
        }
    }

    /// A file of an HF folder that travels with the tensors: a tokenizer, a licence.
    public struct Companion: Sendable {
        /// Its name in the folder; `1_Pooling/config.json` for a file of a sub-folder.
        public var name: String
        /// Its bytes.
        public var contents: [UInt8]

        /// A companion with the given bytes.
        public init(name: String, contents: [UInt8]) {
            self.name = name
            self.contents = contents
        }
    }

    /// Which kind of container it is, and so which names its tensors have.
    public enum Form: String, Sendable {
        /// An HF folder.
        case folder
        /// A single safetensors or PyTorch file without a configuration.
        case safetensors
        /// A GGUF file, or all shards of a split one.
        case gguf
    }

    /// The kind of the container.
    public var form: Form {
        switch container {
        case .folder: .folder
        case .safetensors: .safetensors
        case .gguf: .gguf
        }
    }

    /// `config.json` of a folder that has one. Only a folder can be given one: for others it stops the program (`form`).
    public var config: JSONObject? {
        get { folder?.config }
        set { change(isNothing: newValue == nil, "config.json") { $0.config = newValue } }
    }

    /// The other files of a folder; none in other containers. Only a folder can be given some: for
    /// others it stops the program.
    public var companions: [Companion] {
        get { folder?.companions ?? [] }
        set { change(isNothing: newValue.isEmpty, "companions") { $0.companions = newValue } }
    }

    /// Names in a folder that are not copied: other weights, images, very large texts.
    public internal(set) var leftOut: [String] {
        get { folder?.leftOut ?? [] }
        set { change(isNothing: newValue.isEmpty, "companions") { $0.leftOut = newValue } }
    }

    /// The name of a folder's file of weights without its ending: `model`, or what an adapter's file is called.
    package var weightsName: String {
        get { folder?.weightsName ?? WeightFiles.modelName }
        set { change(isNothing: newValue == WeightFiles.modelName, "file of weights") { $0.weightsName = newValue } }
    }

    /// `__metadata__` of a safetensors header. A GGUF file cannot be given one: it stops the program.
    public var headerMetadata: JSONObject? {
        get {
            switch container {
            case .folder(let folder): folder.headerMetadata
            case .safetensors(let header): header
            case .gguf: nil
            }
        }
        set {
            if case .safetensors = container {
                container = .safetensors(header: newValue)
            } else {
                change(isNothing: newValue == nil, "safetensors header") { $0.headerMetadata = newValue }
            }
        }
    }

    /// The metadata of a GGUF file; empty in other containers. Only a GGUF file can be given some: for
    /// others it stops the program.
    public var metadata: GGUFMetadata {
        get {
            if case .gguf(let metadata) = container { return metadata }
            return GGUFMetadata()
        }
        set {
            if case .gguf = container {
                container = .gguf(newValue)
            } else {
                precondition(newValue.pairs.isEmpty, "\(form.rawValue) has no GGUF metadata")
            }
        }
    }

    private var folder: Folder? {
        if case .folder(let folder) = container { return folder }
        return nil
    }

    /// Changes the contents of a folder. Other containers have none.
    private mutating func change(isNothing: Bool, _ what: String, _ change: (inout Folder) -> Void) {
        guard case .folder(var folder) = container else {
            return precondition(isNothing, "\(form.rawValue) has no \(what)")
        }
        change(&folder)
        container = .folder(folder)
    }
}
