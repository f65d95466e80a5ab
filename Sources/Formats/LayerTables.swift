/// The keys with layer counts, and the configurations to search for them.
public struct LayerCountKeys: Sendable {
    /// Keys that count the layers of any model, or of the encoder in a model with an encoder and a decoder.
    public let keys: [String]
    /// Keys of an encoder.
    public let encoder: [String]
    /// Keys of a decoder.
    public let decoder: [String]
    /// Keys that count modules for multi-token prediction.
    public let predictors: [String]
    /// The GGUF key that counts the blocks under a prefix, without the architecture's prefix.
    public let gguf: [String: String]
    /// The GGUF key that counts modules for multi-token prediction among the blocks.
    public let ggufPredictors: String
    /// Members of `config.json` that contain the configuration of the language model.
    public let languageConfigs: Set<String>
    /// Words in a prefix that distinguish a stack from the language model.
    public let otherWords: [String]

    init(_ file: JSON?) {
        let counts = file?["counts"]
        keys = LayerSettings.strings(counts?["keys"])
        encoder = LayerSettings.strings(counts?["encoder"])
        decoder = LayerSettings.strings(counts?["decoder"])
        predictors = LayerSettings.strings(counts?["predictors"])
        gguf = Dictionary(
            uniqueKeysWithValues: LayerSettings.members(counts?["gguf"]).map { ($0.key, $0.value.string ?? "") })
        ggufPredictors = counts?["gguf_predictors"]?.string ?? ""
        languageConfigs = Set(LayerSettings.strings(file?["language_configs"]))
        otherWords = LayerSettings.strings(file?["other_stacks"])
    }
}

/// Every n-th layer: those whose number leaves the remainder `at`.
public struct LayerPeriod: Sendable, Hashable {
    /// How many layers make a period.
    public let count: Int
    /// The index in the period.
    public let at: Int

    /// A period; a period of 0 includes no layer.
    public init(count: Int, at: Int) { (self.count, self.at) = (count, at) }

    /// Whether a layer, counted from 0, is one of them.
    public func holds(_ layer: Int) -> Bool { count > 0 && layer % count == at }
}

/// A list that a class of transformers derives from the layer number where `config.json` has none.
public struct DerivedList: Sendable {
    /// The contents of the list.
    public enum Form: Sendable, Equatable {
        /// One of two values per layer: the first when the rule applies.
        case kinds(JSON, JSON)
        /// The numbers of the layers to which the rule applies.
        case indices
        /// The numbers of the layers to which it does not apply, when the period is 1.
        case others
    }

    /// The key of the list.
    public let list: String
    /// The contents.
    public let form: Form
    /// The key of the number in the rule; `nil` where it has none.
    public let key: String?
    /// The number when the key is missing.
    public let standard: Int
    /// The index in a period; `nil` when the rule is "the first n".
    public let period: At?
    /// The values of `model_type` that it applies to.
    public let types: Set<String>

    /// Where in a period the rule applies.
    public enum At: Sendable, Equatable {
        /// In its last layer.
        case last
        /// At this index.
        case index(Int)
    }

    init(_ row: JSON) {
        let kinds = row["kinds"]?.array ?? []
        if let key = row["list"]?.string, kinds.count == 2 {
            (list, form) = (key, .kinds(kinds[0], kinds[1]))
        } else if let key = row["indices"]?.string {
            (list, form) = (key, .indices)
        } else {
            (list, form) = (row["others"]?.string ?? "", .others)
        }
        key = row["key"]?.string
        standard = row["period"]?.int ?? row["first"]?.int ?? 0
        period = row["period"] == nil ? nil : row["at"]?.int.map { .index($0) } ?? .last
        types = Set(LayerSettings.strings(row["types"]))
    }

    /// Whether the rule applies to a layer, for the number in a configuration.
    public func holds(_ layer: Int, number: Int) -> Bool {
        switch period {
        case nil: layer < number
        case .last: number > 0 && LayerPeriod(count: number, at: number - 1).holds(layer)
        case .index(let at): LayerPeriod(count: number, at: at).holds(layer)
        }
    }
}

/// Weights that several layers use and one of them stores.
public struct SharedPart: Sendable {
    /// The beginning of a component of the names: `relative_attention_bias.`.
    public let part: String
    /// The beginning of names, behind the layer number, in layers that use it; empty when all layers do.
    public let companion: String

    init(_ row: JSON) {
        part = row["part"]?.string ?? ""
        companion = row["with"]?.string ?? ""
    }
}

/// A tensor outside the layers with a slice for each layer.
public struct LayerSlice: Sendable {
    /// The end of its name.
    public let tensor: String
    /// Whether the slices are columns; else they are rows.
    public let isColumns: Bool
    /// The key of the width of a slice.
    public let width: String

    init(_ row: JSON) {
        tensor = row["tensor"]?.string ?? ""
        isColumns = row["columns"] != nil
        width = row["columns"]?.string ?? row["rows"]?.string ?? ""
    }
}

/// A list of tensors outside the layers, one per layer, such as `attn_res.mlp_queries.3`.
public struct ListOutside: Sendable {
    /// The end of the prefix, without the last dot.
    public let list: String
    /// The layer that tensor 0 belongs to.
    public let first: Int

    init(_ row: JSON) {
        list = row["list"]?.string ?? ""
        first = row["first"]?.int ?? 0
    }
}
