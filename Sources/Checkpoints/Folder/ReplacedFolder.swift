/// A folder that an output replaces. All of it is removed, so it may hold nothing but a checkpoint: files that the output
/// writes again, and files that belong to a model by their names.
enum ReplacedFolder {
    /// Refuses a folder that holds anything else.
    ///
    /// - Parameter files: the paths of the new output's files in the folder.
    static func check(_ path: String, writing files: [String]) throws(CheckpointError) {
        let names = try FileSystem.names(in: path, hidden: true)
        guard !names.isEmpty else { return }
        guard names.contains(where: { $0 == "config.json" || $0.hasSuffix(".safetensors") }) else {
            throw refusal(path, "")
        }
        let written = Set(files.map(ExactString.init))
        for name in names where !isKnown(name) || !FileSystem.isRegularFile(path + "/" + name) {
            try check(name, in: path, written)
        }
    }

    /// Refuses a file that is not written again, and a folder that holds one.
    private static func check(_ name: String, in path: String, _ written: Set<ExactString>) throws(CheckpointError) {
        if written.contains(ExactString(name)), FileSystem.isRegularFile(path + "/" + name) { return }
        // A folder that cannot be listed is never replaced.
        guard FileSystem.isOwnFolder(path + "/" + name), !name.lastPathComponent.hasPrefix("."),
            let names = try? FileSystem.names(in: path + "/" + name, hidden: true)
        else { throw refusal(path, ": \(name)") }
        for inner in names { try check(name + "/" + inner, in: path, written) }
    }

    private static func refusal(_ path: String, _ what: String) -> CheckpointError {
        CheckpointError(
            file: path, "is a folder with other contents than a checkpoint\(what)",
            hint: "a folder is replaced only where nothing else is lost; move that away, or name another folder")
    }

    /// Whether a file belongs to a model by its name.
    private static func isKnown(_ name: String) -> Bool {
        names.contains(name) || endings.contains(where: name.hasSuffix)
            || beginnings.contains { name.hasPrefix($0) }
    }

    private static let names: Set = [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt",
        "merges.txt", "special_tokens_map.json", "added_tokens.json", "chat_template.json", "preprocessor_config.json",
        "processor_config.json", "quantize_config.json", "quant_config.json", "adapter_config.json", "params.json",
        "tekken.json", "resect.json", "README.md",
    ]
    private static let endings = [
        ".safetensors", ".safetensors.index.json", ".bin.index.json", ".model", ".tiktoken", ".jinja",
    ]
    private static let beginnings = ["pytorch_model", "adapter_model.", "LICENSE", "NOTICE"]
}
