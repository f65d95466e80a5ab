internal import Checkpoints
internal import Formats

/// What the rules of mixtures ask of a GGUF model.
struct ModelTraits {
    let architecture: String
    /// `block_count`: a model that has lost layers has other types in those that stay.
    let layerCount: Int
    /// Tensors of the category of values, which count among themselves.
    let valueCount: Int
    let expertCount: Int
    /// Whether four or more heads share their keys and values.
    let hasGroupedHeads: Bool
    /// Whether it is one of those that have 70 billion parameters.
    let isLarge: Bool
    /// Whether the embedding is the output matrix too.
    let isTied: Bool

    init(_ checkpoint: Checkpoint, categories: [TensorCategory]) {
        let metadata = checkpoint.metadata
        architecture = metadata.architecture ?? ""
        // llama-quantize reads no settings of an encoder (mmproj), and takes its layers for the last of none.
        let counted = checkpoint.content == .model ? checkpoint.layerCount : 0
        let stated = metadata.setting("block_count")?.int ?? counted
        layerCount = ModelTraits.layers.contains(stated) ? stated : counted
        valueCount = categories.count { $0 == .values }
        expertCount = metadata.setting("expert_count")?.int ?? 0
        let heads = ModelTraits.firstLayer(metadata.setting("attention.head_count")) ?? 0
        let keyHeads = ModelTraits.firstLayer(metadata.setting("attention.head_count_kv")) ?? heads
        hasGroupedHeads = keyHeads > 0 && heads / keyHeads >= 4
        isLarge = QuantizationExceptions.isLarge(
            architecture: architecture, layers: layerCount, sharesKeys: heads != keyHeads)
        isTied = !categories.contains(.output)
    }

    /// Numbers that a count of layers can have: the rules multiply them.
    private static let layers = 0...Int(UInt32.max)

    /// A setting that has one value, or one for each layer.
    private static func firstLayer(_ value: GGUFValue?) -> Int? { value?.int ?? value?.array?.first?.int }

    func meets(_ condition: Mixture.Condition, hasImportance: Bool) -> Bool {
        switch condition {
        case .falcon: architecture == "falcon"
        case .groupedHeads: hasGroupedHeads
        case .eightExperts: expertCount == 8
        case .importance: hasImportance
        }
    }
}
