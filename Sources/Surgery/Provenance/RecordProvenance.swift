public import Checkpoints
internal import Formats

/// Writes into a checkpoint how it was made; a folder gets a model card too.
public struct RecordProvenance: Edit {
    /// What is written.
    public let provenance: Provenance
    /// The name of the original model on the Hugging Face hub, for the model card; `nil` where it is not known.
    public let baseModel: String?

    /// An edit.
    public init(_ provenance: Provenance, baseModel: String? = nil) {
        self.provenance = provenance
        self.baseModel = baseModel
    }

    /// The checkpoint without a history, which would lack a step.
    public static func removed(from checkpoint: Checkpoint) -> Checkpoint {
        var result = checkpoint
        switch checkpoint.container {
        case .gguf:
            for pair in checkpoint.metadata.pairs where pair.key.hasPrefix("resect.") {
                result.metadata[pair.key] = nil
            }
        case .safetensors(var header):
            guard header?[Provenance.key] != nil else { break }
            header?[Provenance.key] = nil
            result.container = .safetensors(header: header)
        case .folder: result.companions.removeAll { $0.name == Provenance.fileName }
        }
        return result
    }

    /// The checkpoint with the history in the form of its container.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        var result = checkpoint
        let json = JSON.object(provenance.json)
        switch checkpoint.container {
        case .gguf:
            result.metadata["resect.version"] = .string(provenance.version)
            let dropped = provenance.steps.flatMap(\.dropped)
            if !dropped.isEmpty { result.metadata["resect.dropped_layers"] = .strings(dropped) }
            result.metadata[Provenance.key] = .string(json.compact)
        case .safetensors(let header):
            var header = header ?? JSONObject()
            header[Provenance.key] = .string(json.compact)
            result.container = .safetensors(header: header)
        case .folder:
            let card = checkpoint.companion(CardText.fileName).map { String(decoding: $0.contents, as: UTF8.self) }
            let text = CardText(card ?? "").adding(provenance, baseModel: baseModel, of: checkpoint)
            for (name, contents) in [(Provenance.fileName, json.pretty), (CardText.fileName, text)] {
                let file = Checkpoint.Companion(name: name, contents: Array(contents.utf8))
                if let index = result.companions.firstIndex(where: { $0.name == name }) {
                    result.companions[index] = file
                } else {
                    result.companions.append(file)
                }
            }
        }
        return result
    }
}

/// The text of a model card, README.md: front matter between two lines `---`, and Markdown behind it.
struct CardText {
    static let fileName = "README.md"
    private static let heading = "## How this model was made"
    private static let tag = "resect"

    private var front: [String]
    private var body: String

    init(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.first == "---", let end = lines.dropFirst().firstIndex(of: "---") else {
            (front, body) = ([], text)
            return
        }
        front = Array(lines[1..<end])
        body = lines[(end + 1)...].joined(separator: "\n")
    }

    /// The card with the history; members that it has stay as they are.
    func adding(_ provenance: Provenance, baseModel: String?, of checkpoint: Checkpoint) -> String {
        var card = self
        let isNew = front.isEmpty && body.isEmpty
        if let baseModel, !has("base_model") { card.front.append("base_model: \(baseModel)") }
        if isNew { card.front.append("library_name: transformers") }
        if !has("tags") { card.front += ["tags:", "- \(CardText.tag)"] }
        if isNew { card.body = "\n# Made from \(baseModel ?? provenance.origin ?? "a model")\n" }
        // A section of an earlier step is written anew, because the history has that step too.
        if let range = card.body.firstRange(of: CardText.heading) { card.body = String(card.body[..<range.lowerBound]) }
        while card.body.hasSuffix("\n") { card.body.removeLast() }
        let section = CardText.section(provenance, layers: checkpoint.layerCount)
        return (["---"] + card.front + ["---"]).joined(separator: "\n") + "\n" + card.body
            + "\n\n\(CardText.heading)\n\n\(section)"
    }

    private func has(_ key: String) -> Bool { front.contains { $0.hasPrefix(key + ":") } }

    private static func section(_ provenance: Provenance, layers: Int) -> String {
        var text =
            "With resect \(provenance.version); `resect apply \(Provenance.fileName) MODEL -o OUTPUT` does it again.\n"
        for step in provenance.steps {
            text += "\n    \(step.line)\n"
            if !step.dropped.isEmpty {
                text +=
                    "\nLayers \(step.dropped.joined(separator: ", ")) (counted from 0, the end excluded) were deleted.\n"
            }
            let measured = step.measured.members.compactMap { key, value in
                value.double.map { _ in "\(key) \(value.compact)" }
            }
            if !measured.isEmpty { text += "\nPerplexity on held-out text: \(measured.joined(separator: ", ")).\n" }
        }
        return text + "\nThe model has \(layers) layers.\n"
    }
}
