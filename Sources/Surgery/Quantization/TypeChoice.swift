internal import Checkpoints
internal import Formats

/// The type of every tensor of a GGUF checkpoint: llama-quantize's choice. It depends on the names, on the numbers of layers,
/// heads and experts, on whether the embedding is the output matrix too, and on the tensors that came before.
struct TypeChoice {
    /// The type that a tensor should have, and the one that its rows can have.
    struct Choice {
        let wanted: DType
        let used: DType
    }

    /// For each tensor; `nil` for those that stay as they are.
    private(set) var choices: [Choice?]
    private let settings: Quantize.Settings
    private let traits: ModelTraits
    /// How many tensors of these categories a rule was asked for: what stands for their layer.
    private var valueRank = 0
    private var downRank = 0
    private var usesOutput = false
    private var usesEmbedding = false

    /// Chooses the types.
    ///
    /// - Throws: when a type that was asked for does not fit its tensor, or is for no tensor.
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

    /// llama-quantize's order: by layer, what is in none first, then by the bytes of the names.
    private static func order(of tensors: [Tensor]) -> [Int] {
        let layers = tensors.map { TensorCategory.layer(of: $0.name) ?? -1 }
        return tensors.indices.sorted { a, b in
            layers[a] != layers[b]
                ? layers[a] < layers[b] : tensors[a].name.utf8.lexicographicallyPrecedes(tensors[b].name.utf8)
        }
    }

    /// Whether a tensor's type changes: matrices of weights do, unless their name is an exception.
    private func isQuantized(_ tensor: Tensor) -> Bool {
        // GGUF does not tell a matrix of one row from a vector.
        tensor.shape.dropLast().contains { $0 > 1 } && tensor.name.utf8.suffix(6).elementsEqual("weight".utf8)
            && Cast.isWeight(tensor)
            && !QuantizationExceptions.isKept(tensor.name, architecture: traits.architecture)
    }

    private mutating func choice(
        for tensor: Tensor, _ category: TensorCategory, file: String
    ) throws(CheckpointError) -> Choice {
        let base = settings.mixture.base
        let named = settings.byName.first { $0.pattern.matches(tensor.name) }
        // The table of vectors for each layer follows the embedding, unless it is named itself.
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

    /// The type by the rules of the mixture, before rows are looked at.
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

    /// The first rule that holds for a tensor.
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

    /// A type that was asked for by itself, for which nothing else is taken.
    private static func exact(_ type: DType, _ tensor: Tensor, file: String) throws(CheckpointError) -> Choice {
        guard tensor.rowLength % type.blockCount == 0 else {
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "has rows of \(tensor.rowLength) elements, which blocks of \(type.blockCount) (\(type)) do not divide"
            )
        }
        return Choice(wanted: type, used: type)
    }

    /// What was asked for and changes nothing is a mistake.
    private func checkThatAllWereUsed(_ checkpoint: Checkpoint) throws(CheckpointError) {
        func unused(_ problem: String, hint: String? = nil) -> CheckpointError {
            CheckpointError(file: checkpoint.path, problem, hint: hint)
        }
        if settings.output != nil, !usesOutput {
            throw unused(
                "no tensor takes the type of the output matrix; there is none, or another option goes before it")
        }
        if settings.embedding != nil, !usesEmbedding {
            throw unused("no tensor takes the type of the embedding; there is none, or another option goes before it")
        }
        guard settings.mixture.base.isQuantized || settings.byName.isEmpty else {
            throw unused(
                "under \(settings.mixture.name) all weights have one type, and none is chosen by name",
                hint: "begin with Q8_0 or another type of blocks")
        }
        let names = zip(checkpoint.tensors, choices).compactMap { $1 == nil ? nil : $0.name }
        for byName in settings.byName where !names.contains(where: byName.pattern.matches) {
            let kept = checkpoint.tensors.first { byName.pattern.matches($0.name) }
            throw unused(
                "the pattern '\(byName.pattern.text)' is in the name of no tensor"
                    + (kept.map { " whose type changes; '\($0.name)' keeps its own" } ?? ""))
        }
    }

    /// A type, and what takes its place for rows that its blocks do not divide.
    private static func fitting(_ wanted: DType, rowLength: Int) -> Choice {
        var used = wanted
        if rowLength % used.blockCount != 0 { used = used.fallback ?? .f16 }
        if rowLength % used.blockCount != 0 { used = .f16 }
        return Choice(wanted: wanted, used: used)
    }
}
