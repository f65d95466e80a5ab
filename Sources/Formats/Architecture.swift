/// One family of models, from `formats/architectures/NAME.json`.
public struct Architecture: Sendable {
    /// The name of the file, and of the family.
    public let name: String
    /// The classes that `config.json` may name under `architectures`; the first is written.
    public let classes: [String]
    /// What `model_type` in `config.json` may be; the first is written.
    package let modelTypes: [String]
    /// The possible paths of the language model's settings in `config.json`; `[]` is the top.
    package let configPaths: [[String]]
    /// Tensors of older checkpoints that runtimes ignore.
    package let unused: [NameTemplate]
    /// Constant members of `config.json`, written as given here.
    package let constants: [(key: String, value: JSON)]
    /// Members of `config.json` that change what is computed, with the only value that is known.
    package let fixed: [(key: String, value: JSON)]
    /// `general.architecture` in GGUF.
    public let gguf: String
    /// Texts of GGUF metadata that are written as given here.
    package let ggufConstants: [(key: String, value: String)]
    /// GGUF tensors by which a file belongs to another family with the same architecture.
    package let foreignTensors: [NameTemplate]
    /// A GGUF key, without prefix, that only files of this family have, when several families share the architecture;
    /// `nil` when no key tells them apart.
    package let ggufMark: String?
    /// The only number of layers with which llama.cpp computes sliding windows; `nil` when the metadata decide.
    package let ggufWindowedLayerCount: Int?
    /// The number of layers from which on llama.cpp requires norms of queries and keys, and below which it reads none; `nil`
    /// when the tensors decide.
    package let ggufNormedLayerCount: Int?
    /// Whether llama.cpp computes no windows, although the metadata state them.
    package let ggufIgnoresWindows: Bool
    /// The family whose class is written to config.json, when it is not this one.
    package let writtenFamily: String?
    /// The settings, in the order in which GGUF metadata holds them.
    package let settings: [Setting]
    /// The tensors, by role.
    package private(set) var tensors: [TensorRole]
    /// How a layer computes; `nil` when the family is neither run nor converted.
    package let layer: LayerDescription?
    /// How the model computes outside its layers.
    package let model: ModelDescription

    /// Reads a description whose `like` is resolved.
    ///
    /// - Throws: when a member is missing, misspelt, of the wrong kind, or requires a setting that is missing.
    package init(_ value: JSON) throws(DataFileError) {
        var reader = try MemberReader(value, "")
        name = try reader.string("name")
        var hf = try MemberReader(try reader.required("hf"), "hf")
        classes = try hf.strings("classes")
        modelTypes = try hf.strings("model_types")
        configPaths = try hf.strings("config").map { $0.split(separator: ".").map(String.init) }
        let prefixes = try hf.strings("prefixes")
        unused = try hf.strings("unused").map(NameTemplate.init)
        constants = try hf.members("constants").map { (key: $0, value: $1) }
        fixed = try hf.members("fixed").map { (key: $0, value: $1) }
        writtenFamily = try hf.optionalString("written")
        try hf.finish()
        var gguf = try MemberReader(try reader.required("gguf"), "gguf")
        self.gguf = try gguf.string("architecture")
        foreignTensors = try gguf.strings("unless").map(NameTemplate.init)
        ggufConstants = try gguf.members("constants").map { (key: $0, value: $1.string ?? "") }
        ggufMark = try gguf.optionalString("key")
        ggufWindowedLayerCount = gguf.optional("windows_with_layers")?.int
        ggufNormedLayerCount = gguf.optional("qk_norm_from_layers")?.int
        ggufIgnoresWindows = try gguf.flag("windows_ignored")
        try gguf.finish()
        settings = try reader.members("settings").map { (role, value) throws(DataFileError) in
            try Setting(role, value)
        }
        tensors = try reader.members("tensors").map { (role, value) throws(DataFileError) in
            try TensorRole(role, value, prefixes: prefixes)
        }
        layer = try reader.optional("layer").map { (value) throws(DataFileError) in try LayerDescription(value) }
        model =
            try reader.optional("model").map { (value) throws(DataFileError) in try ModelDescription(value) }
            ?? ModelDescription()
        try reader.finish()
        guard !classes.isEmpty, !modelTypes.isEmpty, !configPaths.isEmpty, !prefixes.isEmpty else {
            throw DataFileError("hf", "lacks a class, a model type, a path of the settings, or a prefix")
        }
        try checkRoles()
    }

    /// Checks that every required role exists and every existing role is used.
    private func checkRoles() throws(DataFileError) {
        let known = Set(settings.map(\.role)), tensorRoles = Set(tensors.map(\.role))
        var asked = Set(SettingRole.allCases.map(\.rawValue))
        for setting in settings {
            asked.formUnion(setting.roles)
            let defaults = [setting.absent, setting.ggufAbsent]
            if let role = defaults.lazy.compactMap({ $0?.tensorRole }).first, !tensorRoles.contains(role) {
                throw DataFileError("settings.\(setting.role)", "asks for the tensor '\(role)', which is not there")
            }
        }
        let fromTensors = tensors.flatMap(\.roles), fromLayer = (layer?.roles ?? []) + model.roles
        for role in fromTensors + fromLayer + settings.flatMap(\.roles) where !known.contains(role) {
            throw DataFileError("settings.\(role)", "is required, but missing")
        }
        asked.formUnion(fromTensors + fromLayer)
        for role in known where !asked.contains(role) {
            throw DataFileError("settings.\(role)", "is not used")
        }
    }

    /// The description for a folder: for every role that folders store in different ways, the way of this folder.
    ///
    /// - Parameter hasTensor: whether the folder has a tensor of that name in any layer.
    package func placed(where hasTensor: (NameTemplate) -> Bool) -> Architecture {
        var result = self
        result.tensors = tensors.map { $0.placed(where: hasTensor) }
        return result
    }

    /// The tensor of a role.
    package func tensor(role: String) -> TensorRole? { tensors.first { $0.role == role } }

    /// The settings that decide about sliding windows.
    package var windowRoles: [String] {
        guard let window = layer?.window else { return [] }
        let roles = [window.width] + (window.layers.map { [$0.role] } ?? [])
        return roles + roles.flatMap { setting($0)?.roles ?? [] }
    }

    /// The setting of a role.
    package func setting(_ role: String) -> Setting? { settings.first { $0.role == role } }
}

/// The settings that code reads by name; other members of an architecture file refer to all others.
package enum SettingRole: String, CaseIterable, Sendable {
    /// How many layers there are.
    case layers
    /// The longest context, in tokens.
    case context
    /// The width of the residual stream.
    case hidden
    /// The width of the MLP.
    case feedForward = "ffn"
    /// Query heads.
    case heads
    /// Key and value heads.
    case keyHeads = "kv_heads"
    /// Elements of a query or key head.
    case keySize = "key_size"
    /// Elements of a value head.
    case valueSize = "value_size"
    /// Elements of a head that are rotated.
    case rotarySize = "rotary_size"
    /// The object of config.json that scales positions.
    case rope
    /// The base of the rotary frequencies.
    case ropeTheta = "rope_theta"
    /// Added to the mean square before a norm divides by its root.
    case normEpsilon = "norm_epsilon"
    /// Rows of the embedding.
    case vocabulary
    /// Whether the embedding makes the logits too.
    case tied
    /// The share of a head that is rotated, from 0 to 1.
    case rotaryShare = "rotary_share"
    /// The context that the model was trained with before its positions were scaled.
    case originalContext = "original_context"
    /// YaRN's `mscale_all_dim`, which lowers the factor of sines and cosines.
    case yarnMultiplier = "yarn_log_multiplier"
}
