/// How a setting with a value for each layer follows a cut.
public enum LayerSetting: String, Sendable {
    /// One value a layer: the slice is deleted.
    case list
    /// Layer numbers: those that were cut are dropped, the rest renumbered.
    case indices
    /// "The first n layers": those cut below n are subtracted.
    case boundary
    /// "Every n-th layer": only cuts that keep the phase are possible.
    case period
    /// "The last n layers": those cut among them are subtracted.
    case count
}

/// Everything that depends on the layer number: the data of `formats/layer-settings.json`.
///
/// The keys are the same for every family that has them, so they hold for architectures nobody described too.
public struct LayerSettings: Sendable {
    /// The keys that may hold the layer count in `config.json`.
    public let layerCountKeys: [String]
    /// The rules for keys of `config.json`.
    public let config: [(key: String, rule: LayerSetting)]
    /// The rules for GGUF keys, without the architecture's prefix.
    public let gguf: [(key: String, rule: LayerSetting)]
    /// GGUF architectures whose runtime derives sliding windows from the layer number: every n-th layer has none.
    public let windowPeriod: [String: Int]
    /// GGUF architectures whose runtime leaves out rotary embeddings in every n-th layer, with no key to say so.
    public let ropePeriod: [String: Int]
    /// GGUF architectures that behave otherwise at these layer counts.
    public let countMatters: [String: [Int]]

    /// The one table.
    public static let known = LayerSettings()

    private init() {
        let file = EmbeddedFiles.parsed(under: "layer-settings.json").first?.value
        func rules(_ key: String) -> [(key: String, rule: LayerSetting)] {
            (file?[key]?.object ?? JSONObject()).members.map { key, value in
                guard let rule = value.string.flatMap(LayerSetting.init) else {
                    preconditionFailure("formats/layer-settings.json: '\(key)' follows no known rule")
                }
                return (key, rule)
            }
        }
        func table<Value>(_ key: String, _ read: (JSON) -> Value?) -> [String: Value] {
            Dictionary(
                uniqueKeysWithValues: (file?[key]?.object ?? JSONObject()).members.compactMap {
                    name, value in read(value).map { (name, $0) }
                })
        }
        layerCountKeys = (file?["layer_count_keys"]?.array ?? []).compactMap(\.string)
        config = rules("config")
        gguf = rules("gguf")
        windowPeriod = table("gguf_window_period", \.int)
        ropePeriod = table("gguf_rope_period", \.int)
        countMatters = table("gguf_count_matters") { $0.array?.compactMap(\.int) }
    }
}
