internal import Checkpoints
internal import Formats

/// The type of every tensor of a GGUF checkpoint, chosen like llama-quantize: by name, by the number of layers, heads
/// and experts, by whether the embedding is also the output matrix, and by the preceding tensors.
struct TypeChoice {
    /// The chosen type, and the type that fits the row length.
    struct Choice {
        let wanted: DType
        let used: DType
    }

    /// The choice for each tensor; `nil` when its type does not change.
    private(set) var choices: [Choice?]
    private let settings: Quantize.Settings
    private let traits: ModelTraits
    /// The number of tensors of each category so far, which rules use as the layer number.
    private var valueRank = 0
    private var downRank = 0
    private var usesOutput = false
    private var usesEmbedding = false

    /// Chooses the types.
    ///
    /// - Throws: when a requested type does not fit its tensor or applies to no tensor.
    init(_ settings: Quantize.Settings, _ checkpoint: Checkpoint) throws(CheckpointError) {
        self.settings = settings
        let categories = checkpoint.tensors.map { TensorCategory(name: $0.name) }
        traits = ModelTraits(checkpoint, categories: categories)
        choices = Array(repeating: nil, count: checkpoint.tensors.count)
        let order = settings.keepsFileOrder ? Array(choices.indices) : TypeChoice.order(of: checkpoint.tensors)
        for index in order where isQuantized(checkpoint.tensors[index]) {
            choices[index] = try choice(for: checkpoint.tensors[index], categories[index], file: checkpoint.path)
        }
        try checkThatAllWereUsed(checkpoint)
    }

    /// llama-quantize's order: by layer, with tensors outside the layers first, then by the bytes of the name.
    private static func order(of tensors: [Tensor]) -> [Int] {
        let layers = tensors.map { TensorCategory.layer(of: $0.name) ?? -1 }
        return tensors.indices.sorted { a, b in
            layers[a] != layers[b]
                ? layers[a] < layers[b] : tensors[a].name.utf8.lexicographicallyPrecedes(tensors[b].name.utf8)
        }
    }

    /// Whether the type of a tensor changes: a matrix of weights whose name is not an exception.
    private func isQuantized(_ tensor: Tensor) -> Bool {
        // GGUF cannot distinguish a matrix with one row from a vector.
        tensor.shape.dropLast().contains { $0 > 1 } && tensor.name.utf8.suffix(6).elementsEqual("weight".utf8)
            && Cast.isWeight(tensor)
            && !QuantizationExceptions.isKept(tensor.name, architecture: traits.architecture)
    }

    private mutating func choice(
        for tensor: Tensor, _ category: TensorCategory, file: String
    ) throws(CheckpointError) -> Choice {
        let base = settings.mixture.base
        let named = settings.byName.first { $0.pattern.matches(tensor.name) }
        // per_layer_token_embd takes the embedding's type unless a pattern names it.
        let isNamedTable = named != nil && tensor.name != "token_embd.weight"
        if category == .embedding, let type = settings.embedding, !isNamedTable {
            usesEmbedding = true
            return try TypeChoice.exact(type, tensor, file: file)
        }
        if category == .output, let type = settings.output {
            usesOutput = true
            return try TypeChoice.exact(type, tensor, file: file)
        }
        guard base.isQuantized else { return Choice(wanted: base, used: base) }
        let wanted = named?.dtype ?? (settings.isPure ? base : ruled(tensor, category))
        return TypeChoice.fitting(wanted, rowLength: tensor.rowLength)
    }

    /// The type from the rules of the mixture, before the row length is checked.
    private mutating func ruled(_ tensor: Tensor, _ category: TensorCategory) -> DType {
        let mixture = settings.mixture
        if QuantizationExceptions.hasEightBits(tensor.name, architecture: traits.architecture) { return .q8_0 }
        if category == .output || (category == .embedding && traits.isTied) {
            if let output = settings.output {
                usesOutput = true
                return output
            }
            let isEightBits =
                QuantizationExceptions.hasEightBitOutput(architecture: traits.architecture)
                || tensor.rowLength % mixture.base.blockCount != 0
            return isEightBits ? .q8_0 : mixture.output
        }
        if let single = mixture.single {
            let isStacked = tensor.shape.count > 2 && tensor.shape[tensor.shape.count - 3] > 1
            let isExperts = QuantizationExceptions.isExperts(category, architecture: traits.architecture)
            return isStacked && isExperts ? mixture.base : single
        }
        let type = firstRule(for: tensor, category)?.type ?? mixture.base
        guard category == .values || category == .keys else { return type }
        if traits.expertCount == 8 { return .q8_0 }
        return category == .values && traits.isLarge && (type == .q3_K || type == .q4_K) ? .q5_K : type
    }

    /// The first rule that applies to a tensor.
    private mutating func firstRule(for tensor: Tensor, _ category: TensorCategory) -> Mixture.Rule? {
        var (layer, count) = (0, traits.layerCount)
        switch category {
        case .values:
            (layer, count) = (valueRank, traits.valueCount)
            valueRank += 1
        case .down:
            layer = traits.expertCount > 1 ? TensorCategory.layer(of: tensor.name) ?? downRank : downRank
            downRank += 1
        default: break
        }
        return settings.mixture.rules.first { rule in
            rule.category == category && rule.layers.contains(layer, of: count)
                && (rule.condition.map { traits.meets($0, hasImportance: settings.hasImportance) } ?? true)
        }
    }

    /// An explicitly requested type, which is not substituted.
    private static func exact(_ type: DType, _ tensor: Tensor, file: String) throws(CheckpointError) -> Choice {
        guard tensor.rowLength % type.blockCount == 0 else {
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "has rows of \(tensor.rowLength) elements, which are not a multiple of the block size \(type.blockCount) of \(type)"
            )
        }
        return Choice(wanted: type, used: type)
    }

    /// Refuses a request that has no effect.
    private func checkThatAllWereUsed(_ checkpoint: Checkpoint) throws(CheckpointError) {
        func unused(_ problem: String, hint: String? = nil) -> CheckpointError {
            CheckpointError(file: checkpoint.path, problem, hint: hint)
        }
        if settings.output != nil, !usesOutput {
            throw unused(
                "--output-type has no effect: there is no output matrix, or another option overrides it")
        }
        if settings.embedding != nil, !usesEmbedding {
            throw unused("--embedding-type has no effect: there is no embedding, or another option overrides it")
        }
        guard settings.mixture.base.isQuantized || settings.byName.isEmpty else {
            throw unused(
                "\(settings.mixture.name) has one type for all weights and allows no type by name",
                hint: "use --type Q8_0 or another block type")
        }
        let names = zip(checkpoint.tensors, choices).compactMap { $1 == nil ? nil : $0.name }
        for byName in settings.byName where !names.contains(where: byName.pattern.matches) {
            let kept = checkpoint.tensors.first { byName.pattern.matches($0.name) }
            throw unused(
                "the pattern '\(byName.pattern.text)' matches no tensor"
                    + (kept.map { " that is quantized; '\($0.name)' keeps its type" } ?? ""))
        }
    }

    /// The type, or its substitute when the row length is not a multiple of its block size.
    private static func fitting(_ wanted: DType, rowLength: Int) -> Choice {
        var used = wanted
        if rowLength % used.blockCount != 0 { used = used.fallback ?? .f16 }
        if rowLength % used.blockCount != 0 { used = .f16 }
        return Choice(wanted: wanted, used: used)
    }
}
