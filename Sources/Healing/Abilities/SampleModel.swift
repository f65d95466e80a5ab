internal import Checkpoints
internal import Formats

/// A small model of a family, made of the description of its architecture: all its tensors in their shapes, with zeros for
/// values. What can be done with it can be done with the family.
struct SampleModel {
    private let architecture: Architecture
    private static let layers = 4
    /// Sizes of settings that have no default; the largest vocabulary that a few tokens need.
    private static let sizes: [String: JSON] = [
        "layers": .int(layers), "context": .int(64), "hidden": .int(128), "ffn": .int(192), "inner_ffn": .int(384),
        "heads": .int(4), "kv_heads": .int(2), "vocabulary": .int(128), "norm_epsilon": .number("1e-05"),
        "rope_theta": .number("50000.0"), "use_window": .bool(true), "window": .int(16), "experts": .int(4),
        "experts_used": .int(2), "expert_ffn": .int(96), "shared_ffn": .int(64), "attention_scale": .number("0.25"),
    ]

    init(_ architecture: Architecture) { self.architecture = architecture }

    /// The model as a folder.
    ///
    /// - Throws: when the description asks for a setting that has no size here.
    func folder() throws(CheckpointError) -> Checkpoint {
        let vocabulary = Vocabulary(
            preTokenizer: "gpt-2", tokens: ["<s>", "a", "b", "ab"], kinds: [.control, .normal, .normal, .normal],
            merges: [.init("a", "b")], addedTokens: [.init(id: 0, content: "<s>", special: true)])
        var model = Checkpoint(
            path: architecture.name,
            container: .folder(.init(config: config, companions: try vocabulary.folderFiles())), tensors: [],
            sources: [])
        model.architecture = architecture
        model.tensors = try tensors(Settings(model, architecture))
        return model
    }

    private var config: JSONObject {
        var config = JSONObject([
            ("architectures", .array(architecture.classes.prefix(1).map(JSON.string))),
            ("model_type", .string(architecture.modelTypes[0])),
        ])
        for setting in architecture.settings {
            guard let key = setting.writtenKey else { continue }
            var value = SampleModel.sizes[setting.role]
            // A file of few layers has no windows where llama.cpp computes none.
            if setting.role == architecture.layer?.window?.width, architecture.ggufWindowedLayerCount != nil {
                value = .null
            }
            if value == nil, setting.layers == .list, setting.absent == .required { value = list(of: setting) }
            // A GGUF file of the family has what its runtime takes for granted.
            if setting.gguf.isEmpty, case .value(let standard)? = setting.ggufAbsent { value = standard }
            if let value { config = config.replacing(at: key.dropLast(), key.last ?? "", with: value) }
        }
        return config
    }

    /// One entry for each layer, of the known ones in turn.
    private func list(of setting: Setting) -> JSON {
        let known = setting.values.map(\.from)
        return .array((0..<SampleModel.layers).map { known.isEmpty ? .int(1) : known[$0 % known.count] })
    }

    private func tensors(_ settings: Settings) throws(CheckpointError) -> [Tensor] {
        try settings.folderTensors(layers: SampleModel.layers) { (role, layer) throws(CheckpointError) in
            // Tensors that decide a setting by being there are left out.
            if role.need.flags.contains(where: { settings.followsFromTensors($0.role) }) { return false }
            return try settings.uses(role, layer: layer)
        }.map { Tensor(name: $0.name, dtype: .bf16, shape: $0.shape, recipe: .computed(ZeroRows())) }
    }
}

/// Rows of zeros.
private struct ZeroRows: RowSource {
    var description: String { "zeros" }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) {
        output.initializeMemory(as: UInt8.self, repeating: 0)
    }
}

extension TensorRole.Need {
    /// The flags that decide.
    fileprivate var flags: [SettingFlag] {
        switch self {
        case .setting(let flags), .unless(let flags): flags
        case .always, .optional: []
        }
    }
}

extension JSONObject {
    /// The object with the member of an inner object replaced.
    fileprivate func replacing(at path: ArraySlice<String>, _ key: String, with value: JSON) -> JSONObject {
        var inner = object(at: Array(path)) ?? JSONObject()
        inner[key] = value
        return replacing(at: path, with: inner)
    }
}
