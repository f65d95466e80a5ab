internal import Checkpoints
internal import Formats

/// The keys `general.*` of a GGUF file that is made from a folder: who made the model, what it is called and may be used for.
///
/// They come from the model card, then from `_name_or_path` in config.json, then from the folder's name.
struct GeneralMetadata {
    private let source: Checkpoint
    private let card: ModelCard
    private let tensors: [Tensor]
    private let parameterCount: Int

    /// The metadata of a file with these tensors.
    init(_ source: Checkpoint, tensors: [Tensor]) {
        self.source = source
        self.tensors = tensors
        card = ModelCard(source)
        parameterCount = tensors.reduce(0) { $0 + $1.count }  // fits: their bytes were counted
    }

    /// The pairs in the order of llama.cpp's converter.
    func pairs() throws(CheckpointError) -> [GGUFMetadata.Pair] {
        var result = Pairs()
        try addSampling(to: &result)
        let names = names()
        func stated(_ keys: String..., or part: KeyPath<ModelName, String?>? = nil) -> String? {
            keys.lazy.compactMap(card.text).first
                ?? part.flatMap { part in names.lazy.compactMap { $0[keyPath: part] }.first }
        }
        result.add("name", stated("name", "model_name") ?? names.first.map { ModelName.title($0.name) })
        result.add("author", stated("author", "model_author", "model_creator"))
        result.add("version", stated("version", "model_version", or: \.version))
        result.add("organization", stated("organization", "model_organization") ?? organization(names))
        result.add("finetune", stated("finetune", "model_finetune", or: \.finetune))
        result.add("basename", stated("basename", "model_basename", "model_type", or: \.basename))
        result.add("description", stated("description", "model_description"))
        result.add("size_label", stated("size_label", "model_size_label", or: \.sizeLabel) ?? SizeLabel.text(tensors))
        result.add("license", card.texts("license")?.joined(separator: ","))
        result.add("license.name", stated("license_name"))
        result.add("license.link", stated("license_link"))
        for key in ["url", "doi", "uuid", "repo_url"] { result.add("source.\(key)", stated(key, "model_\(key)")) }
        addOrigins("base_model", ["base_model", "base_models", "base_model_sources"], to: &result)
        addOrigins("dataset", ["datasets", "dataset", "dataset_sources"], to: &result)
        for (key, members) in [("tags", ["tags", "pipeline_tag"]), ("languages", ["languages", "language"])] {
            let lists = members.compactMap(card.texts)
            guard !lists.isEmpty else { continue }
            result.add(key, GGUFValue.strings(lists.flatMap(\.self)))
        }
        return result.pairs
    }

    /// The names of the model, the best first.
    private func names() -> [ModelName] {
        let path = source.config?["_name_or_path"]?.string
        // More than one slash is a path on some machine.
        let stated = path.flatMap { $0.filter { $0 == "/" }.count <= 1 && !$0.isEmpty ? $0 : nil }
        let name = HubCache.id(ofSnapshot: source.path) ?? source.path.lastPathComponent
        return [stated, name].compactMap { $0 }.map {
            ModelName($0, parameterCount: parameterCount)
        }
    }

    private func organization(_ names: [ModelName]) -> String? {
        names.lazy.compactMap(\.organization).first.map(ModelName.title)
    }

    // MARK: origins

    /// The models or texts that the model was made from: how many, and of each its name, maker and place.
    private func addOrigins(_ name: String, _ members: [String], to result: inout Pairs) {
        guard let value = members.lazy.compactMap({ card[$0] }).first else { return }
        let list: [ModelCard.Value] = if case .list(let values) = value { values } else { [value] }
        result.add("\(name).count", GGUFValue.u32(UInt32(clamping: list.count)))
        for (index, value) in list.enumerated() {
            for (key, text) in origin(value) { result.add("\(name).\(index).\(key)", text) }
        }
    }

    static let originKeys = [
        "name", "author", "version", "organization", "description", "url", "doi", "uuid", "repo_url",
    ]
    private static let hub = "https://huggingface.co/"

    /// The name on the hub from which all that is known of an origin follows; `nil` where more or something else is known.
    static func hubName(_ origin: [(key: String, value: String)]) -> String? {
        guard let address = origin.first(where: { $0.key == "repo_url" })?.value, address.hasPrefix(hub) else {
            return nil
        }
        let name = String(address.dropFirst(hub.count)),
            halves = name.split(separator: "/", omittingEmptySubsequences: false)
        let isName =
            halves.count == 2
            && halves.allSatisfy { half in
                half.contains { $0 != "." }
                    && half.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
            }
        let follows = parts(of: name, address: nil, parameterCount: 0)
        return isName && follows.elementsEqual(origin, by: { $0.0 == $1.key && $0.1 == $1.value }) ? name : nil
    }

    private func origin(_ value: ModelCard.Value) -> [(String, String)] {
        let text: String
        switch value {
        case .list: return []
        case .object(let members):
            return GeneralMetadata.originKeys.compactMap { key in
                members.first { $0.key == key }.map { (key, $0.value) }
            }
        case .text(let stated): text = stated
        }
        guard text.hasPrefix("http://") || text.hasPrefix("https://") || text.hasPrefix("ssh://") else {
            return parts(of: text, address: nil)
        }
        let hub = [GeneralMetadata.hub, "http" + GeneralMetadata.hub.dropFirst(5)].first(where: text.hasPrefix)
        guard let name = hub.map({ text.dropFirst($0.count) }),
            name.split(separator: "/", omittingEmptySubsequences: false).count == 2,
            !name.hasPrefix("/"), !name.hasSuffix("/")
        else { return [("repo_url", text)] }
        return parts(of: String(name), address: text)
    }

    private func parts(of text: String, address: String?) -> [(String, String)] {
        GeneralMetadata.parts(of: text, address: address, parameterCount: parameterCount)
    }

    private static func parts(of text: String, address: String?, parameterCount: Int) -> [(String, String)] {
        let name = ModelName(text, parameterCount: parameterCount)
        let place = address ?? name.organization.map { "\(GeneralMetadata.hub)\($0)/\(name.name)" }
        return [
            ("name", ModelName.title(name.name)), ("version", name.version),
            ("organization", name.organization.map(ModelName.title)), ("repo_url", place),
        ].compactMap { key, value in value.map { (key, $0) } }
    }

    // MARK: sampling

    /// Defaults of sampling from generation_config.json.
    private func addSampling(to result: inout Pairs) throws(CheckpointError) {
        guard let file = source.companion("generation_config.json") else { return }
        let generation = try FileSystem.json(file.contents, path: source.path + "/" + file.name)
        func add(_ key: String, _ members: String..., isWhole: Bool = false) {
            guard let value = members.lazy.compactMap({ generation[$0] }).first, let number = value.double else {
                return
            }
            result.add(
                "sampling.\(key)", isWhole ? value.int.map { .i32(Int32(clamping: $0)) } : .f32(Float(number)))
        }
        if let sequence = generation["sequence"]?.string { result.add("sampling.sequence", sequence) }
        add("top_k", "top_k", isWhole: true)
        add("top_p", "top_p")
        add("min_p", "min_p")
        add("xtc_probability", "xtc_probability")
        add("xtc_threshold", "xtc_threshold")
        add("temp", "temperature")
        add("penalty_last_n", "penalty_last_n", isWhole: true)
        add("penalty_repeat", "penalty_repeat", "repetition_penalty")
        add("mirostat", "mirostat", isWhole: true)
        add("mirostat_tau", "mirostat_tau")
        add("mirostat_eta", "mirostat_eta")
    }

    /// Pairs under `general.`.
    private struct Pairs {
        var pairs: [GGUFMetadata.Pair] = []

        mutating func add(_ key: String, _ value: GGUFValue?) {
            if let value { pairs.append(.init(key: "general.\(key)", value: value)) }
        }

        mutating func add(_ key: String, _ text: String?) { add(key, text.map(GGUFValue.string)) }
    }
}
