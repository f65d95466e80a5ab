/// What is known about one family of models: the data of `formats/architectures/NAME.json`.
public struct Architecture: Sendable {
    /// The name of the file, and of the family.
    public let name: String
    /// The classes that `config.json` may name under `architectures`.
    public let classes: [String]
    /// `model_type` in `config.json`.
    public let modelType: String
    /// `general.architecture` in GGUF.
    public let gguf: String
    /// The settings that both containers hold, with their keys.
    public let keys: [SettingKey]
    /// The tensors, by role.
    public let tensors: [TensorNames]
    /// The roles whose rows GGUF stores in another order, for interleaved rotary embeddings.
    public let permuted: Set<String>
    /// The switches of the decoder layer.
    public let decoder: JSONObject

    /// One setting with its key in either container.
    public struct SettingKey: Sendable {
        /// What the setting is: `hidden`, `heads`, …
        public let role: String
        /// Its key in `config.json`.
        public let huggingFace: String
        /// Its GGUF key without the architecture's prefix.
        public let gguf: String
        /// The GGUF type, `u32` or `f32`.
        public let type: String
    }

    /// One tensor with its name in either container.
    public struct TensorNames: Sendable {
        /// What the tensor is: `attention_q`, `ffn_down`, …
        public let role: String
        /// Its name in an HF checkpoint; `nil` where it has none.
        public let huggingFace: NameTemplate?
        /// Its name in GGUF; `nil` where it has none.
        public let gguf: NameTemplate?
    }

    /// Every described architecture, in the order of the registry.
    public static let all: [Architecture] = {
        var known: [String: JSONObject] = [:]
        return EmbeddedFiles.parsed(under: "architectures/").map { file in
            var object = file.value.object ?? JSONObject()
            // "like" takes over what another file says and this one does not.
            if let base = object["like"]?.string.flatMap({ known[$0] }) {
                for (key, value) in base.members where object[key] == nil { object[key] = value }
            }
            if let name = object["name"]?.string { known[name] = object }
            guard let architecture = Architecture(object) else {
                preconditionFailure("formats/\(file.name): a member is missing or of the wrong kind")
            }
            return architecture
        }
    }()

    /// The architecture of a class named in `config.json`.
    public static func named(class name: String) -> Architecture? {
        all.first { $0.classes.contains(name) }
    }

    /// The architecture of a `general.architecture`.
    public static func named(gguf name: String) -> Architecture? {
        all.first { $0.gguf == name }
    }

    private init?(_ object: JSONObject) {
        guard let name = object["name"]?.string, let classes = object["classes"]?.array,
            let modelType = object["model_type"]?.string, let gguf = object["gguf"]?.string,
            let decoder = object["decoder"]?.object,
            let keys = object["keys"]?.array, let tensors = object["tensors"]?.array
        else { return nil }
        self.name = name
        self.classes = classes.compactMap(\.string)
        self.modelType = modelType
        self.gguf = gguf
        self.decoder = decoder
        self.permuted = Set((object["permuted"]?.array ?? []).compactMap(\.string))
        self.keys = keys.compactMap { row in
            guard let row = row.array?.map(\.string), row.count == 4, let role = row[0],
                let huggingFace = row[1], let gguf = row[2], let type = row[3]
            else { return nil }
            return SettingKey(role: role, huggingFace: huggingFace, gguf: gguf, type: type)
        }
        self.tensors = tensors.compactMap { row in
            guard let row = row.array?.map(\.string), row.count == 3, let role = row[0] else {
                return nil
            }
            return TensorNames(
                role: role, huggingFace: row[1].map(NameTemplate.init),
                gguf: row[2].map(NameTemplate.init))
        }
        guard self.keys.count == keys.count, self.tensors.count == tensors.count else { return nil }
    }

    /// The names of a role.
    public func tensor(role: String) -> TensorNames? { tensors.first { $0.role == role } }
}
