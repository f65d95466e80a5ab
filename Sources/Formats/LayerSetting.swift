/// How a setting that depends on the layer number follows a cut.
public enum LayerSetting: String, CaseIterable, Sendable {
    /// One value a layer: the slice is deleted.
    case list
    /// For each layer the number of one whose keys and values it uses, often its own.
    case sources
    /// Layer numbers: cut ones are removed, the others renumbered.
    case indices
    /// Layer numbers that begin with 1.
    case indicesFromOne = "indices_from_1"
    /// "The first n layers": those cut below n are subtracted.
    case boundary
    /// The last layer of a kind, itself included; -1 is the last of the model.
    case lastIndex = "last_index"
    /// "The last n layers": those cut among them are subtracted.
    case count
    /// "Every n-th layer": only cuts that keep the phase are possible, unless a list replaces it.
    case period
    /// Kinds that are repeated over the layers: `["recurrent", "recurrent", "attention"]`.
    case cycle
    /// Runs of kinds with how often each is repeated: `[[["global", "local"], 12]]`.
    case repeats
    /// An object whose keys are layer numbers.
    case names
    /// The first n layers (the number, or the length of the list) cannot be cut.
    case firstStay = "first_stay"
    /// No layer may move, unless the number is 0.
    case noneMoves = "none_moves"
    /// A list that is unrelated to layers.
    case unrelated
}

/// Everything that depends on the layer number: the data of `formats/layer-settings.json`.
///
/// The keys mean the same in every family, so they apply to unknown architectures too.
public struct LayerSettings: Sendable {
    /// The keys with layer counts.
    public let counts: LayerCountKeys
    /// The rules for keys of `config.json`, at any depth in the configuration of the language model.
    public let config: [(key: String, rule: LayerSetting)]
    /// The rules for GGUF keys, without the architecture's prefix.
    public let gguf: [(key: String, rule: LayerSetting)]
    /// The lists that replace a period when a file has both, by the period's key.
    public let deciders: [String: [String]]
    /// Lists that transformers derives from the layer number where a file has none.
    public let derived: [DerivedList]
    /// Lists that a class of transformers derives in a way that has no entry under `derived`, by the classes' model
    /// types.
    public let derivedOtherwise: [String: [String]]
    /// Those that are derived so only where a setting is true: the list and the model types, by the setting.
    public let derivedOtherwiseIf: [String: [String: [String]]]
    /// The required kind of the last layer, by model type.
    public let lastKind: [String: String]
    /// Model types and GGUF architectures whose first layer differs in structure from the others.
    public let firstDiffers: Set<String>
    /// Model types whose last layer differs in structure from the others.
    public let lastDiffers: Set<String>
    /// Settings that no cut can follow, with the reason.
    public let refused: [String: String]
    /// Settings outside the language model that name its layers, and what they say of them.
    public let namedOutside: [String: String]
    /// The part that a class computes from the layer number unless each layer stores it, by model type.
    public let storedByLayer: [String: String]
    /// Model types and GGUF architectures that compute by the layer number in a way that no setting can change, with
    /// the reason in words.
    public let refusedTypes: [String: String]
    /// Weights that several layers use and one of them stores.
    public let shared: [SharedPart]
    /// Tensors outside the layers with a slice for each layer.
    public let slices: [LayerSlice]
    /// Entries of lists that make a layer use the results of the last earlier layer with another entry, by the key of
    /// the list; those of "" apply to every list.
    public let sharingKinds: [String: [JSON]]
    /// Lists of tensors outside the layers that have one for each.
    public let listsOutside: [ListOutside]
    /// Lists of tensors outside the layers that are unrelated to layers.
    public let unrelatedLists: Set<String>
    /// GGUF architectures whose runtime derives sliding windows from the layer number.
    public let windowPeriod: [String: LayerPeriod]
    /// GGUF architectures without rotary embeddings in every n-th layer, for which there is no key.
    public let ropePeriod: [String: Int]
    /// Those of them that rotate in every layer when the file states a window of 0.
    public let ropeWithWindow: Set<String>
    /// GGUF architectures whose runtime derives from the layer number which layers are recurrent: all but every n-th.
    public let recurrentPeriod: [String: Int]
    /// GGUF architectures whose runtime reads the sizes of heads and rotations for each layer; others take those of the
    /// first layer for some or all.
    public let sizesByLayer: Set<String>
    /// GGUF architectures in which only the first n layers have their own keys and values, for which there is no key.
    public let ownKeys: [String: Int]
    /// GGUF architectures in which the tensors of a layer decide what it computes.
    public let tensorsDecide: Set<String>
    /// The GGUF key without which a runtime derives a scale from the number of layers, by architecture.
    public let scaleOfCount: [String: String]
    /// GGUF architectures that behave differently at these layer counts.
    public let countMatters: [String: [Int]]

    /// The one table.
    public static let known = LayerSettings()

    /// The rule for a key of `config.json`.
    public func rule(_ key: String) -> LayerSetting? { config.first { $0.key == key }?.rule }

    private init() {
        let file = EmbeddedFiles.parsed(under: "layer-settings.json").first?.value
        func rules(_ key: String) -> [(key: String, rule: LayerSetting)] {
            LayerSettings.members(file?[key]).map { key, value in
                guard let rule = value.string.flatMap(LayerSetting.init) else {
                    fatalError("formats/layer-settings.json: '\(key)' follows no known rule")
                }
                return (key, rule)
            }
        }
        func table<Value>(_ key: String, _ read: (JSON) -> Value?) -> [String: Value] {
            Dictionary(
                uniqueKeysWithValues: LayerSettings.members(file?[key]).compactMap { name, value in
                    read(value).map { (name, $0) }
                })
        }
        counts = LayerCountKeys(file)
        config = rules("config")
        gguf = rules("gguf")
        deciders = table("decided_by", LayerSettings.strings)
        derived = (file?["derived"]?.array ?? []).map(DerivedList.init)
        derivedOtherwise = table("derived_from_count", LayerSettings.strings)
        derivedOtherwiseIf = table("derived_from_count_if") {
            Dictionary(
                uniqueKeysWithValues: LayerSettings.members($0).map { ($0.key, LayerSettings.strings($0.value)) })
        }
        var last: [String: String] = [:]
        for (kind, types) in LayerSettings.members(file?["last_kind"]) {
            for type in LayerSettings.strings(types) { last[type] = kind }
        }
        lastKind = last
        firstDiffers = Set(LayerSettings.strings(file?["first_layer_differs"]))
        lastDiffers = Set(LayerSettings.strings(file?["last_layer_differs"]))
        refused = table("refused_settings", \.string)
        namedOutside = table("named_outside", \.string)
        storedByLayer = table("stored_by_layer", \.string)
        refusedTypes = table("refused_types", \.string)
        shared = (file?["shared"]?.array ?? []).map(SharedPart.init)
        slices = (file?["slices"]?.array ?? []).map(LayerSlice.init)
        sharingKinds = table("sharing_kinds", \.array)
        listsOutside = (file?["lists_outside"]?.array ?? []).map(ListOutside.init)
        unrelatedLists = Set(LayerSettings.strings(file?["unrelated_lists"]))
        windowPeriod = table("gguf_window_period") { $0.int.map { LayerPeriod(count: $0, at: $0 - 1) } }
            .merging(table("gguf_window_period_dense_first") { $0.int.map { LayerPeriod(count: $0, at: 0) } }) { $1 }
        ropePeriod = table("gguf_rope_period", \.int)
        ropeWithWindow = Set(LayerSettings.strings(file?["gguf_rope_with_window"]))
        recurrentPeriod = table("gguf_recurrent_period", \.int)
        sizesByLayer = Set(LayerSettings.strings(file?["gguf_sizes_by_layer"]))
        ownKeys = table("gguf_own_keys", \.int)
        tensorsDecide = Set(LayerSettings.strings(file?["gguf_tensors_decide"]))
        scaleOfCount = table("gguf_scale_of_count", \.string)
        countMatters = table("gguf_count_matters") { $0.array?.compactMap(\.int) }
    }

    /// The members of an object.
    static func members(_ value: JSON?) -> [(key: String, value: JSON)] {
        (value?.object ?? JSONObject()).members.map { ($0, $1) }
    }

    /// The strings of an array.
    static func strings(_ value: JSON?) -> [String] { (value?.array ?? []).compactMap(\.string) }
}
