internal import Checkpoints
internal import Formats

/// What adapter_config.json of PEFT says of a LoRA adapter; settings of the training alone are left out.
struct AdapterConfig: Sendable {
    /// Which biases were trained with the adapter.
    enum Biases: String, Sendable {
        case none, all
        case adapted = "lora_only"
    }

    /// Which changes of an embedding also apply to the output matrix that is tied to it.
    struct Tying: Sendable {
        /// Low-rank changes and weights that were trained as a whole.
        var weights = false
        /// Trained rows.
        var rows = false
    }

    /// The rank of modules that no pattern matches.
    let rank: Int
    /// The numerator of the scale for modules that no pattern matches.
    let alpha: Double
    /// Whether the scale is alpha / sqrt(rank), and not alpha / rank.
    let usesRSLoRA: Bool
    /// Whether the norms of the rows were trained too.
    let usesDoRA: Bool
    /// Whether the adapter's second matrix has a bias.
    let hasLoRABias: Bool
    /// Whether weights are stored [inputs, outputs], as in Conv1D.
    let fanInFanOut: Bool
    /// Which biases are in the files.
    let biases: Biases
    /// Ranks and alphas of modules, by a pattern for their names; the first that matches counts.
    let rankPatterns: [(pattern: ModulePattern, rank: Int)]
    let alphaPatterns: [(pattern: ModulePattern, alpha: Double)]
    /// Which modules have an adapter.
    let selection: ModuleSelection
    /// Parameters with an adapter that are not the weight of a module: stacks of experts.
    let targetParameters: [String]
    /// Rows of embeddings that were trained, by the name of the embedding.
    var trainableTokens: [(module: String, rows: [Int])]
    /// What the training kept tied.
    var tying: Tying
    /// The base model, as the training named it.
    let baseName: String?
    /// The path of the file, for messages.
    let path: String

    /// Reads the file.
    ///
    /// - Throws: for a method other than LoRA, for values of the wrong type or size, and for settings that change what
    ///   is computed in a way that merged weights cannot express.
    init(_ object: JSONObject, path: String) throws(CheckpointError) {
        self.path = path
        let reader = AdapterConfigReader(object, path: path)
        try reader.checkMethod()
        try reader.refuseOthers()
        rank = try reader.positive(reader.required("r"), "r")
        alpha = try reader.finite(reader.required("lora_alpha"), "lora_alpha")
        usesRSLoRA = try reader.bool("use_rslora")
        usesDoRA = try reader.bool("use_dora")
        hasLoRABias = try reader.bool("lora_bias")
        fanInFanOut = try reader.bool("fan_in_fan_out")
        let biasText = try reader.string("bias") ?? "none"
        guard let biases = Biases(rawValue: biasText) else {
            throw CheckpointError(file: path, "'bias' is '\(biasText)'; it can be none, all or lora_only")
        }
        self.biases = biases
        rankPatterns = try reader.members("rank_pattern").map { (key, value) throws(CheckpointError) in
            (try reader.pattern(key, "rank_pattern"), try reader.positive(value, "rank_pattern.\(key)"))
        }
        alphaPatterns = try reader.members("alpha_pattern").map { (key, value) throws(CheckpointError) in
            (try reader.pattern(key, "alpha_pattern"), try reader.finite(value, "alpha_pattern.\(key)"))
        }
        selection = try ModuleSelection(object, path: path)
        let isTyingAsked = try reader.asksForTying()
        tying = Tying(weights: isTyingAsked && selection.namesTiedModule, rows: isTyingAsked)
        targetParameters = try reader.strings("target_parameters") ?? []
        trainableTokens = try reader.tokens("trainable_token_indices")
        baseName = try reader.string("base_model_name_or_path")
    }
}
