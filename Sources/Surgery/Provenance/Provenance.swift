public import Checkpoints
public import Formats

/// How a model was made: the commands with their options, and what each was given.
///
/// It lies in `resect.json` of a folder, under `resect.provenance` in GGUF metadata, and in `__metadata__` of a single
/// safetensors file. It has no dates, no folders of this machine and no numbers of threads, so that the same input gives the
/// same bytes.
public struct Provenance: Sendable, Equatable {
    /// One command.
    public struct Step: Sendable, Equatable {
        /// The name of the command: `cut`, `heal`.
        public var command: String
        /// The long names of the options that decide the bytes, with a text, `true`, or a list of texts.
        public var options: JSONObject
        /// The model and the other files that it read, with hashes; and its texts.
        public var inputs: [JSON] = [], texts: [JSON] = []
        /// The layers that were cut, `["4:6"]`.
        public var dropped: [String] = []
        /// What was measured while the model was made: perplexities.
        public var measured = JSONObject()
        /// A patch archive that gives the result without the work; only a recipe has one.
        public var patch: String?

        /// A step.
        public init(command: String, options: JSONObject) {
            self.command = command
            self.options = options
        }
    }

    /// The version of resect that made the last step.
    public var version: String
    /// The commands, in the order in which they were run.
    public var steps: [Step]

    /// The name of the file in a folder.
    public static let fileName = "resect.json"
    /// The key in GGUF metadata and in the header of a safetensors file.
    static let key = "resect.provenance"

    /// A history of commands.
    public init(steps: [Step]) {
        version = Release.version
        self.steps = steps
    }

    /// The history of a checkpoint; `nil` without one.
    ///
    /// - Throws: when it cannot be read.
    public init?(of checkpoint: Checkpoint) throws(CheckpointError) {
        switch checkpoint.container {
        case .folder:
            guard let file = checkpoint.companion(Provenance.fileName) else { return nil }
            let path = checkpoint.path + "/" + file.name
            try self.init(FileSystem.json(file.contents, path: path), file: path)
        case .gguf(let metadata):
            guard let text = metadata[Provenance.key]?.string else { return nil }
            try self.init(text: text, file: checkpoint.path)
        case .safetensors(let header):
            guard let text = header?[Provenance.key]?.string else { return nil }
            try self.init(text: text, file: checkpoint.path)
        }
    }

    private init(text: String, file: String) throws(CheckpointError) {
        try self.init(FileSystem.json(Array(text.utf8), path: file), file: file)
    }

    /// Reads the history, or a recipe in the same form. A recipe of one command may have its members at the top.
    ///
    /// - Throws: for members that are not known, by name.
    public init(_ object: JSONObject, file: String) throws(CheckpointError) {
        if object["steps"] == nil {
            var step = object
            step["resect"] = nil
            version = object["resect"]?.string ?? Release.version
            steps = [try Step(step, at: "", file: file)]
            return
        }
        for key in object.keys where !["resect", "steps"].contains(key) {
            throw CheckpointError(file: file, "the member '\(key)' is not known", hint: "known: resect steps")
        }
        guard let list = object["steps"]?.array, !list.isEmpty else {
            throw CheckpointError(file: file, "'steps' is no list of at least one command")
        }
        version = object["resect"]?.string ?? Release.version
        steps = try list.enumerated().map { (index, value) throws(CheckpointError) in
            guard let object = value.object else {
                throw CheckpointError(file: file, "'steps[\(index)]' is not an object")
            }
            return try Step(object, at: "steps[\(index)].", file: file)
        }
    }

    /// The name of the model that the first command was given.
    var origin: String? { steps.first?.inputs.first?["name"]?.string }

    /// It as JSON.
    public var json: JSONObject {
        JSONObject([("resect", .string(version)), ("steps", .array(steps.map { .object($0.json) }))])
    }
}

extension Provenance.Step {
    private static let members = ["command", "options", "patch", "inputs", "texts", "dropped", "measured"]

    /// Reads a step.
    fileprivate init(_ object: JSONObject, at path: String, file: String) throws(CheckpointError) {
        for key in object.keys where !Self.members.contains(key) {
            throw CheckpointError(
                file: file, "the member '\(path)\(key)' is not known",
                hint: "known: " + Self.members.joined(separator: " "))
        }
        func member<Value>(
            _ key: String, _ kind: String, else standard: Value?, _ read: (JSON) -> Value?
        ) throws(CheckpointError) -> Value {
            guard let found = object[key] else {
                guard let standard else { throw CheckpointError(file: file, "'\(path)\(key)' is missing") }
                return standard
            }
            guard let value = read(found) else {
                throw CheckpointError(file: file, "'\(path)\(key)' is \(found.compact), not \(kind)")
            }
            return value
        }
        command = try member("command", "the name of a command", else: nil, \.string)
        options = try member("options", "an object", else: JSONObject(), \.object)
        patch = try member("patch", "a path", else: .some(nil)) { $0.string.map(Optional.some) }
        inputs = try member("inputs", "a list", else: [], \.array)
        texts = try member("texts", "a list", else: [], \.array)
        dropped = try member("dropped", "a list of layers", else: []) { value in
            value.array.flatMap { list in
                let texts = list.compactMap(\.string)
                return texts.count == list.count ? texts : nil
            }
        }
        measured = try member("measured", "an object", else: JSONObject(), \.object)
        for (key, value) in options.members {
            let isList = value.array.map { !$0.isEmpty && $0.allSatisfy { $0.string != nil } } ?? false
            guard value.string != nil || value == .bool(true) || isList else {
                throw CheckpointError(
                    file: file, "'\(path)options.\(key)' is \(value.compact), not a text, true, or a list of texts")
            }
        }
    }

    fileprivate var json: JSONObject {
        var object = JSONObject([("command", .string(command)), ("options", .object(options))])
        if let patch { object["patch"] = .string(patch) }
        if !inputs.isEmpty { object["inputs"] = .array(inputs) }
        if !texts.isEmpty { object["texts"] = .array(texts) }
        if !dropped.isEmpty { object["dropped"] = .array(dropped.map(JSON.string)) }
        if measured.count > 0 { object["measured"] = .object(measured) }
        return object
    }

    /// The arguments of the command, without the model and the output.
    public var arguments: [String] {
        options.members.flatMap { key, value -> [String] in
            let values = value.array?.compactMap(\.string) ?? value.string.map { [$0] }
            guard let values else { return ["--" + key] }
            // With an equals sign a value may begin with a dash.
            return values.map { "--\(key)=\($0)" }
        }
    }

    /// The command as a line for people.
    var line: String {
        let words = ["resect", command, "MODEL", "-o", "OUTPUT"] + arguments
        return words.map { $0.contains(" ") ? "'\($0)'" : $0 }.joined(separator: " ")
    }
}
