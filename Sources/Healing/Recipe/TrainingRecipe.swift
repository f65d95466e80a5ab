internal import CTexts
internal import Decoder
public import Checkpoints
internal import Formats
public import Surgery

/// A folder from which somebody trains a pruned model with torch, on GPUs that are elsewhere.
///
/// It holds the command that makes the pruned model, a LoRA configuration, a training script for accelerate, its
/// requirements, its texts, and a description with the command that merges the result back.
public struct TrainingRecipe: Sendable {
    /// The model before the cut, as the training names it: an absolute path to a folder, or a folder that `prune.sh` makes.
    public let whole: String
    /// The file to convert to a folder before the cut, because transformers trains folders; `nil` when the model is one.
    let file: String?
    /// The layers that are cut.
    public var dropped: LayerRuns
    /// The number of layers before the cut.
    public var layerCount: Int
    /// The arguments of `resect` that write the pruned model to the folder `pruned`.
    public var command: [String]
    /// The pruned model: a folder that is there already, or the one that `prune.sh` makes.
    public var pruned = "pruned"
    /// The texts to train on: files, folders or `builtin`, each a kind.
    public var corpus: [String]
    /// The values of the training.
    public var values: TrainingValues

    /// A recipe with the default values for the share of layers removed, and the projections of the MLP as targets.
    ///
    /// - Parameters:
    ///   - checkpoint: the whole model.
    ///   - dropped: the layers that are cut.
    ///   - layerCount: how many layers the whole model has.
    ///   - command: the arguments of `resect` that write the pruned model to `pruned`, for the path of the whole model.
    ///   - corpus: files, folders or `builtin`, each a kind of text.
    public init(
        _ checkpoint: Checkpoint, dropped: LayerRuns, layerCount: Int, command: (_ whole: String) -> [String],
        corpus: [String]
    ) {
        let path = FileSystem.absolute(checkpoint.path)
        let isFolder = FileSystem.kind(of: path) == .folder
        (whole, file) = isFolder ? (path, nil) : ("whole", path)
        self.dropped = dropped
        self.layerCount = layerCount
        self.command = command(whole)
        self.corpus = corpus
        values = TrainingValues(shareRemoved: Double(dropped.count) / Double(max(1, layerCount)))
        target(TrainingSettings.Target.feedForward, of: checkpoint)
    }

    /// Puts adapters on the modules of these products, or on those of attention where the model has none of them, as where
    /// experts are in the place of the MLP. Nothing changes for a model of an unknown architecture.
    public mutating func target(_ targets: [TrainingSettings.Target], of checkpoint: Checkpoint) {
        if let names = TrainingRecipe.names(of: targets, in: checkpoint) { values.targets = names }
    }

    /// The names of modules, as PEFT finds them: their ends.
    private static func names(of targets: [TrainingSettings.Target], in checkpoint: Checkpoint) -> [String]? {
        guard let architecture = checkpoint.architecture else { return nil }
        let all = TrainingSettings.Target.allCases
        let attention = all.filter { !TrainingSettings.Target.feedForward.contains($0) }
        let rest = all.filter { !targets.contains($0) && !attention.contains($0) }
        let paths = [targets, attention, rest].map { $0.map(\.role.rawValue) }.map { roles in
            var paths: [[String]] = []
            for role in roles {
                let name = architecture.tensor(role: role)?.huggingFace?.names.first?.text
                // Queries, keys and values may be one module.
                let path = name.map { $0.split(separator: ".").dropLast().map(String.init) }
                if let path, !paths.contains(path) { paths.append(path) }
            }
            return paths
        }
        guard let chosen = paths.first(where: { !$0.isEmpty }) else { return nil }
        let ends = Set(paths.joined()).compactMap(\.last)
        // A last part that two modules share names neither of them.
        return chosen.compactMap { path in
            guard let last = path.last else { return nil }
            return ends.filter { $0 == last }.count > 1 ? path.suffix(2).joined(separator: ".") : last
        }
    }

    /// Checks that a recipe can be written, before the slow steps.
    ///
    /// - Throws: when the folder exists, or cannot be made because the one around it is missing.
    public static func check(_ folder: String) throws(CheckpointError) {
        guard FileSystem.kind(of: folder) == .missing else { throw CheckpointError(file: folder, "exists") }
        try WholeFile.check(folder, replaces: false)
    }

    /// Writes the folder.
    ///
    /// - Throws: when the folder exists, or a text is missing or is not text.
    public func write(to folder: String) throws(CheckpointError) {
        var files: [(name: String, contents: [UInt8])] = []
        func add(_ name: String, _ text: String) { files.append((name, Array(text.utf8))) }
        let texts = try RecipeTexts(corpus: corpus)
        let share = Int((Double(dropped.count) / Double(max(1, layerCount)) * 100).rounded())
        let fields = [
            "layers": dropped.texts.joined(separator: ","), "share": "\(share) %", "rank": "\(values.rank)",
            "alpha": values.shownAlpha.compact,
            "targets": "on " + values.targets.joined(separator: ", "), "whole": TrainingRecipe.quoted(whole),
            "pruned": TrainingRecipe.quoted(pruned),
        ]
        var index = 0
        while let name = resect_recipe_name(index) {
            var length = 0
            let bytes = UnsafeRawBufferPointer(start: resect_recipe_file(index, &length), count: length)
            add(String(cString: name), TrainingRecipe.filled(String(decoding: bytes, as: UTF8.self), fields))
            index += 1
        }
        add("prune.sh", prune)
        add("adapter_config.json", values.adapterConfig(base: pruned).pretty)
        add("recipe.json", json(texts).pretty)
        files += texts.files
        try WholeFile.writeFolder(files, to: folder)
    }

    /// The script that makes the pruned model.
    private var prune: String {
        let convert = file.map { ["convert", $0, "-o", "whole", "--dtype", "bf16"] }
        let commands = [convert, command].compactMap(\.self).map { command in
            "\"${RESECT:-resect}\" " + command.map(TrainingRecipe.quoted).joined(separator: " ")
        }
        return """
            #!/bin/sh
            # Makes the pruned model in the folder of this file. RESECT names the program where it is not on the path.
            set -e
            cd "$(dirname "$0")"
            \(commands.joined(separator: "\n"))

            """
    }

    private func json(_ texts: RecipeTexts) -> JSON {
        .object(
            JSONObject([
                ("model", .string(pruned)), ("whole", .string(whole)), ("output", .string("adapter")),
                ("teacher", .string(values.distills ? "logits" : "none")),
                ("layers", .string(dropped.texts.joined(separator: ","))),
                ("steps", .int(values.steps)), ("rate", .double(values.rate)), ("warmup", .int(values.warmup)),
                ("batch", .int(values.batch)), ("device_batch", .int(1)), ("context", .int(values.context)),
                ("evaluation", .int(8)), ("every", .int(25)),
                ("patience", .int(values.patience)), ("seed", .int(values.seed)), ("texts", texts.training),
                ("judges", texts.judging),
            ]))
    }

    /// A text with the values of fields in double braces.
    static func filled(_ text: String, _ fields: [String: String]) -> String {
        var parts = text.split(separator: "{{", omittingEmptySubsequences: false)[...]
        var result = String(parts.popFirst() ?? "")
        for part in parts {
            guard let end = part.firstRange(of: "}}"), let value = fields[String(part[..<end.lowerBound])] else {
                result += "{{" + part
                continue
            }
            result += value + part[end.upperBound...]
        }
        return result
    }

    /// An argument as a shell reads it.
    static func quoted(_ argument: String) -> String {
        let isPlain =
            !argument.isEmpty
            && argument.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2C, 0x2D, 0x2E, 0x2F, 0x3A, 0x3D, 0x5F: true
                default: false
                }
            }
        return isPlain
            ? argument
            : "'" + argument.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
