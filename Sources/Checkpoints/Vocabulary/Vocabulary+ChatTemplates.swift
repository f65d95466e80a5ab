internal import Formats

extension Vocabulary {
    /// The files of a folder that hold chat templates, the one that wins first. llama.cpp's converter has this order;
    /// transformers 5 reads the .jinja files before tokenizer_config.json, so a disagreement is noted.
    private static let settingsFile = "tokenizer_config.json"
    private static let defaultFile = "chat_template.jinja"
    private static let additionalFolder = "additional_chat_templates/"
    private static let processorFile = "chat_template.json"

    /// Reads the chat templates of an HF folder.
    ///
    /// - Parameter settings: the parsed tokenizer_config.json.
    mutating func readChatTemplates(
        of checkpoint: Checkpoint, settings: JSONObject
    ) throws(CheckpointError) {
        var origins: [ExactString: String] = [:]
        func path(_ file: String) -> String { checkpoint.path + "/" + file }
        func add(_ template: ChatTemplate, from file: String) {
            let key = ExactString(template.name)
            guard let origin = origins[key] else {
                origins[key] = file
                chatTemplates.append(template)
                return
            }
            let known = chatTemplates.first { ExactString($0.name) == key }
            if let known, ExactString(known.text) != ExactString(template.text) {
                notes.append(
                    "\(checkpoint.path): the chat template '\(template.name)' is that of \(origin); "
                        + "\(file) has another one")
            }
        }
        for template in try Vocabulary.templates(settings["chat_template"], file: path(Vocabulary.settingsFile)) {
            add(template, from: Vocabulary.settingsFile)
        }
        if let file = checkpoint.companion(Vocabulary.defaultFile) {
            add(ChatTemplate(text: String(decoding: file.contents, as: UTF8.self)), from: file.name)
        }
        let additional = checkpoint.companions.filter {
            $0.name.hasPrefix(Vocabulary.additionalFolder) && $0.name.hasSuffix(".jinja")
        }
        for file in additional.sorted(by: { $0.name < $1.name }) {
            let name = String(file.name.dropFirst(Vocabulary.additionalFolder.count).dropLast(".jinja".count))
            add(ChatTemplate(name: name, text: String(decoding: file.contents, as: UTF8.self)), from: file.name)
        }
        if let file = checkpoint.companion(Vocabulary.processorFile) {
            let object = try FileSystem.json(file.contents, path: path(file.name))
            for template in try Vocabulary.templates(object["chat_template"], file: path(file.name)) {
                add(template, from: file.name)
            }
        }
        putDefaultTemplateFirst()
    }

    /// The templates of a member `chat_template`: text, a list of objects with a name and a template, or an object of
    /// texts by name.
    private static func templates(_ value: JSON?, file: String) throws(CheckpointError) -> [ChatTemplate] {
        guard let value, value != .null else { return [] }
        if let text = value.string { return [ChatTemplate(text: text)] }
        var result: [ChatTemplate] = []
        var names = NameSet(capacity: 8)
        func add(_ name: String?, _ text: String?) throws(CheckpointError) {
            guard let name, let text, !name.isEmpty else {
                throw CheckpointError(file: file, "a chat template has no name or no text")
            }
            guard names.insert(name) else {
                throw CheckpointError(file: file, "has two chat templates '\(name)'")
            }
            result.append(ChatTemplate(name: name, text: text))
        }
        if let list = value.array {
            for entry in list { try add(entry["name"]?.string, entry["template"]?.string) }
        } else if let object = value.object {
            for (name, text) in object.members { try add(name, text.string) }
        } else {
            throw CheckpointError(file: file, "'chat_template' is neither text nor a list of templates")
        }
        return result
    }

    /// Reads the chat templates of GGUF metadata.
    mutating func readChatTemplates(metadata: GGUFMetadata) {
        for pair in metadata.pairs {
            guard let text = pair.value.string else { continue }
            if pair.key == "tokenizer.chat_template" { chatTemplates.append(ChatTemplate(text: text)) }
            if pair.key.hasPrefix("tokenizer.chat_template.") {
                let name = String(pair.key.dropFirst("tokenizer.chat_template.".count))
                if !name.isEmpty { chatTemplates.append(ChatTemplate(name: name, text: text)) }
            }
        }
        putDefaultTemplateFirst()
    }

    private mutating func putDefaultTemplateFirst() {
        let isDefault = { (template: ChatTemplate) in template.name == ChatTemplate.defaultName }
        chatTemplates = chatTemplates.filter(isDefault) + chatTemplates.filter { !isDefault($0) }
    }

    /// The metadata pairs of the chat templates, as gguf-py writes them: keys hold letters and digits alone.
    ///
    /// - Throws: when two templates get the same key.
    func chatTemplatePairs(file: String?) throws(CheckpointError) -> [GGUFMetadata.Pair] {
        var result: [GGUFMetadata.Pair] = []
        var names: [String] = []
        for template in chatTemplates where template.name != ChatTemplate.defaultName {
            let name = Vocabulary.keyName(template.name)
            guard name != ChatTemplate.defaultName, !names.contains(name) else {
                throw CheckpointError(
                    file: file,
                    "the chat template '\(template.name)' would have the same key as another: "
                        + "tokenizer.chat_template.\(name)")
            }
            names.append(name)
            result.append(.init(key: "tokenizer.chat_template." + name, value: .string(template.text)))
        }
        if !names.isEmpty { result.append(.init(key: "tokenizer.chat_templates", value: .strings(names))) }
        if let first = chatTemplates.first, first.name == ChatTemplate.defaultName {
            result.append(.init(key: "tokenizer.chat_template", value: .string(first.text)))
        }
        return result
    }

    /// A template's name as a part of a key.
    static func keyName(_ name: String) -> String {
        let scalars = name.unicodeScalars.map { scalar -> Character in
            switch scalar {
            case "a"..."z", "A"..."Z", "0"..."9": Character(scalar)
            default: "_"
            }
        }
        return String(scalars)
    }

    /// `chat_template` of tokenizer_config.json; `nil` when there is no template.
    var chatTemplateMember: JSON? {
        if chatTemplates.isEmpty { return nil }
        if chatTemplates.count == 1, let only = chatTemplates.first, only.name == ChatTemplate.defaultName {
            return .string(only.text)
        }
        return .array(
            chatTemplates.map { template in
                .object(JSONObject([("name", .string(template.name)), ("template", .string(template.text))]))
            })
    }
}
