public import Checkpoints
internal import Formats

/// What people ask about a model first: its sizes, its licence, and whether the output shares the embedding.
///
/// The sizes of a known architecture are those that the decoder would compute with. Of another one they are what the file
/// states under the keys that any known architecture has for them.
public struct ModelFacts: Sendable, Equatable {
    /// The longest context, in tokens.
    public private(set) var context: Int?
    /// The width of the hidden states.
    public private(set) var hidden: Int?
    /// The widths of the MLPs, ascending; more than one where layers differ. So are the next lists.
    public private(set) var feedForward: [Int] = []
    /// Query heads.
    public private(set) var heads: [Int] = []
    /// Key and value heads.
    public private(set) var keyHeads: [Int] = []
    /// Elements of a query or key head.
    public private(set) var headSize: [Int] = []
    /// Rows of the embedding.
    public private(set) var vocabulary: Int?
    /// Experts of an MLP, and those that a token uses.
    public private(set) var experts: [Int] = [], expertsUsed: [Int] = []
    /// Sliding windows, in tokens; layers without one are not counted.
    public private(set) var windows: [Int] = []
    /// Whether the embedding makes the logits too; `nil` where nothing says so.
    public private(set) var isTied: Bool?
    /// The licence that the file or the model card states.
    public private(set) var licence: String?

    /// Reads the facts; nothing that is missing is an error.
    public init(_ checkpoint: Checkpoint) {
        licence = ModelFacts.licence(of: checkpoint)
        context = checkpoint.longestContext
        if let plan = try? ModelPlan(checkpoint) {
            read(plan)
        } else if checkpoint.form != .safetensors {
            let stated = StatedSizes(checkpoint)
            context = context ?? stated.numbers("context").last
            hidden = stated.numbers("hidden").last
            feedForward = stated.numbers("ffn")
            heads = stated.numbers("heads")
            keyHeads = stated.numbers("kv_heads")
            headSize = stated.numbers("key_size")
            vocabulary = stated.numbers("vocabulary").last
            (experts, expertsUsed) = (stated.numbers("experts"), stated.numbers("experts_used"))
            windows = stated.numbers("window")
            isTied = stated.value("tied")?.bool
        }
        // A file without tensors is a vocabulary.
        if !checkpoint.tensors.isEmpty, let role = checkpoint.architecture?.tensor(role: "output"),
            let part = checkpoint.part(of: role)
        {
            isTied = !checkpoint.tensors.contains { part.match($0.name) != .none }
        }
        if let architecture = checkpoint.architecture, vocabulary == nil {
            vocabulary = try? Settings(checkpoint, architecture).int(.vocabulary)
        }
    }

    private mutating func read(_ plan: ModelPlan) {
        func distinct(_ values: some Sequence<Int>) -> [Int] { Set(values).sorted() }
        let attention = plan.layers.map(\.attention), feedForward = plan.layers.map(\.feedForward)
        (hidden, vocabulary) = (plan.hidden, plan.vocabulary)
        heads = distinct(attention.map(\.heads))
        keyHeads = distinct(attention.map(\.keyHeads))
        headSize = distinct(attention.map(\.headSize))
        windows = distinct(attention.compactMap(\.window))
        self.feedForward = distinct(feedForward.map(\.width))
        let mixtures = feedForward.compactMap { if case .experts(let plan) = $0 { plan } else { nil } }
        (experts, expertsUsed) = (distinct(mixtures.map(\.count)), distinct(mixtures.map(\.used)))
    }

    private static func licence(of checkpoint: Checkpoint) -> String? {
        if checkpoint.form == .gguf {
            let stated = checkpoint.metadata["general.license"]?.string
            let name = checkpoint.metadata["general.license.name"]?.string
            return stated == "other" ? name ?? stated : stated ?? name
        }
        let card = ModelCard(checkpoint)
        if let stated = card.texts("license"), !stated.isEmpty {
            return stated == ["other"] ? card.text("license_name") ?? "other" : stated.joined(separator: ", ")
        }
        return checkpoint.companions.first { $0.name.uppercased().hasPrefix("LICENSE") }.map { "see \($0.name)" }
    }
}

/// Sizes that a file of an unknown architecture states, under the keys that known ones have for them.
private struct StatedSizes {
    private let checkpoint: Checkpoint
    private let objects: [JSONObject]

    init(_ checkpoint: Checkpoint) {
        self.checkpoint = checkpoint
        guard let config = checkpoint.config else {
            objects = []
            return
        }
        // The settings of a language model may lie in an object of config.json.
        let inner = config.members.filter { LayerSettings.known.counts.languageConfigs.contains($0.0) }
        objects = inner.compactMap { $0.1.object } + [config]
    }

    /// The first value of a role.
    func value(_ role: String) -> JSON? {
        for architecture in Architecture.all {
            guard let setting = architecture.setting(role) else { continue }
            for key in setting.gguf where checkpoint.form == .gguf {
                if let value = checkpoint.metadata.setting(key.key) { return value.json }
            }
            for object in objects {
                for path in setting.huggingFace {
                    if let value = object.value(at: path), value != .null { return value }
                }
            }
        }
        return nil
    }

    /// The distinct numbers of a role, ascending.
    func numbers(_ role: String) -> [Int] {
        guard let value = value(role) else { return [] }
        return Set((value.array ?? [value]).compactMap(\.int).filter { $0 > 0 }).sorted()
    }
}
