internal import Checkpoints
internal import Formats

/// The properties of a GGUF model that mixture rules use.
struct ModelTraits {
    let architecture: String
    /// `block_count`. After a cut it is smaller, so the remaining layers may get other types.
    let layerCount: Int
    /// The number of tensors in the category of values, which are counted separately.
    let valueCount: Int
    let expertCount: Int
    /// Whether four or more heads share keys and values.
    let hasGroupedHeads: Bool
    /// Whether llama-quantize treats it as a model of 70 billion parameters.
    let isLarge: Bool
    /// Whether the embedding is also the output matrix.
    let isTied: Bool

    init(_ checkpoint: Checkpoint, categories: [TensorCategory]) {
        let metadata = checkpoint.metadata
        architecture = metadata.architecture ?? ""
        // llama-quantize reads no settings of an encoder (mmproj) and assumes 0 layers.
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

    /// Valid layer counts, small enough for the arithmetic of the rules.
    private static let layers = 0...Int(UInt32.max)

    /// The first value of a setting with one value, or one per layer.
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
