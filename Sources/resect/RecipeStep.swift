internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

/// A step of a recipe with the files that it names: ready to be run.
struct RecipeStep {
    /// The arguments of `apply` that a step takes too.
    struct Arguments {
        /// Those of every command.
        let common: [String]
        /// Those that `unpack` does not have.
        let planned: [String]
    }

    /// The place of the step, from 1.
    let number: Int
    private let step: Provenance.Step
    private let recipe: String
    /// The options with the paths of the files that they name, as arguments; or the path of a patch.
    private let options: [String], patch: String?

    private static let commands: [any ParsableCommand.Type] = [
        Cut.self, Heal.self, Shrink.self, Merge.self, QuantizeCommand.self, ConvertCommand.self,
    ]
    /// Options that name files which are read.
    private static let files: Set<String> = ["corpus", "evaluation", "adapter", "imatrix", "analysis", "base"]

    /// Finds the files of a step.
    ///
    /// - Parameter recipe: the path of the recipe.
    /// - Throws: for a command or an option that is not known, and for a file that is missing or has changed.
    init(_ step: Provenance.Step, number: Int, of recipe: String) throws {
        (self.step, self.number, self.recipe) = (step, number, recipe)
        patch = try step.patch.map { (name) throws(CheckpointError) in try RecipeStep.found(name, beside: recipe) }
        if patch != nil {
            options = []
            return
        }
        guard let command = RecipeStep.commands.first(where: { RecipeStep.name($0) == step.command }) else {
            let known = RecipeStep.commands.map(RecipeStep.name).joined(separator: " ")
            throw CheckpointError(
                file: recipe, "the command '\(step.command)' is not one that recipes have", hint: "known: \(known)")
        }
        var given = step
        given.options = try RecipeStep.resolved(step, of: command, recipe)
        options = given.arguments
        do {
            _ = try Resect.parseAsRoot([step.command, "model"] + options + ["-o", "x"])
        } catch {
            let problem = UsageError(error, command: step.command, arguments: options)
            throw CheckpointError(
                file: recipe, "\(step.command) does not take its options: \(problem.message)", hint: problem.hint)
        }
    }

    /// The name of the command.
    var command: String { step.command }

    /// Whether a patch has the result.
    var isPatch: Bool { patch != nil }

    /// Runs the step.
    ///
    /// - Parameters:
    ///   - path: the output; `nil` where the arguments name it.
    ///   - form: the container of that output.
    func run(on model: String, _ arguments: Arguments, to path: String? = nil, form: Checkpoint.Form? = nil) throws {
        let output = path.map { ["-o", $0] } ?? []
        if let patch {
            return try Invocation.run(["unpack", patch, "--against", model] + output + arguments.common, for: step)
        }
        let format = form.map { ["--format", $0.rawValue] } ?? []
        try Invocation.run(
            [step.command, model] + options + output + format + arguments.common + arguments.planned, for: step)
    }

    // MARK: the model that the step was made with

    private var input: JSON? { step.inputs.first { $0["option"] == nil } }

    /// The container of the model; `nil` where the recipe does not say it.
    var form: Checkpoint.Form? { input?["format"]?.string.flatMap(Checkpoint.Form.init(rawValue:)) }

    /// The name of the model, from which the metadata of GGUF has its name; `nil` where the recipe does not say it.
    var inputName: String? { input?["name"]?.string.flatMap(RecipeStep.fileName) }

    /// The last component of a path; `nil` where that is no name.
    static func fileName(_ path: String) -> String? {
        let name = path.lastPathComponent
        return ["", ".", "..", "/"].contains(name) ? nil : name
    }

    /// The container that the type of the weights needs; `nil` without a type.
    var outputForm: Checkpoint.Form? {
        step.options["type"]?.string.flatMap(WeightType.init(argument:)).map { $0.folder == nil ? .gguf : .folder }
    }

    /// Says when the step was made with another model.
    func compare(_ model: Checkpoint, _ common: CommonOptions) throws {
        guard let expected = input?["hash"]?.string,
            try Provenance.input(model)["hash"]?.string != expected
        else { return }
        let which = number == 1 ? "the recipe" : "step \(number) of the recipe"
        common.note("\(which) was made with another model than \(model.path)")
    }

    // MARK: options

    private static func name(_ command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? "\(command)".lowercased()
    }

    /// The options with the paths of the files that they name.
    ///
    /// - Throws: for an option that the command does not have, and for a file that is missing or has changed.
    private static func resolved(
        _ step: Provenance.Step, of command: any ParsableCommand.Type, _ recipe: String
    ) throws(CheckpointError) -> JSONObject {
        let known = Invocation.repeats(of: command)
        var options = step.options
        for (key, value) in step.options.members {
            guard let repeats = known[key] else {
                throw CheckpointError(file: recipe, "the option '\(key)' is not one of resect \(step.command)")
            }
            guard repeats || value.array?.count ?? 1 == 1 else {
                throw CheckpointError(file: recipe, "the option '\(key)' has several values: \(value.compact)")
            }
            guard files.contains(key) else { continue }
            let texts = value.array?.compactMap(\.string) ?? value.string.map { [$0] } ?? []
            let hashes = hashes(of: key, texts, step)
            let paths = try zip(texts, hashes).map { (text, hash) throws(CheckpointError) in
                JSON.string(try path(text, key, hash, recipe))
            }
            options[key] = value.array == nil ? paths.first : .array(paths)
        }
        return options
    }

    /// Options that name texts, in the order in which a step states them.
    private static let texts = ["corpus", "evaluation"]

    /// The hashes that a step states of the files that an option names: two of them may have the same name, so the place
    /// decides. `nil` where the recipe says nothing.
    private static func hashes(of option: String, _ values: [String], _ step: Provenance.Step) -> [String?] {
        var stated = step.inputs.filter { $0["option"]?.string == option }, count = values.count, start = 0
        if texts.contains(option) {
            let counts = texts.map { name in step.options[name].map { $0.array?.count ?? 1 } ?? 0 }
            (stated, count) = (step.texts, counts[0] + counts[1])
            start = option == texts[0] ? 0 : counts[0]
        }
        guard stated.count == count else { return values.map { _ in nil } }
        return values.indices.map { stated[start + $0]["hash"]?.string }
    }

    private static func path(
        _ text: String, _ option: String, _ hash: String?, _ recipe: String
    ) throws(CheckpointError) -> String {
        if ["builtin", "-"].contains(text), texts.contains(option) {
            let source = TextSource(argument: text)
            try check(hash, Provenance.text(source), source.name)
            return text
        }
        // An adapter may have a weight behind an equals sign.
        let isWhole = option != "adapter" || place(of: text, beside: recipe) != nil
        let sign = isWhole ? nil : text.lastIndex(of: "=")
        let path = try found(sign.map { String(text[..<$0]) } ?? text, beside: recipe)
        try check(
            hash, texts.contains(option) ? Provenance.text(.path(path)) : Provenance.input(path, of: option), path)
        return path + (sign.map { String(text[$0...]) } ?? "")
    }

    /// Refuses another file or text than the one that a recipe states the hash of; `nil` where it states none.
    private static func check(
        _ hash: String?, _ value: @autoclosure () throws(CheckpointError) -> JSON, _ name: String
    ) throws(CheckpointError) {
        guard let hash, try value()["hash"]?.string != hash else { return }
        throw CheckpointError(file: name, "is not what the recipe was made with: its hash differs")
    }

    /// A file that a recipe names: as it is written, or beside the recipe.
    private static func found(_ name: String, beside recipe: String) throws(CheckpointError) -> String {
        guard let path = place(of: name, beside: recipe) else {
            throw CheckpointError(file: recipe, "names '\(name)', which is neither here nor beside the recipe")
        }
        return path
    }

    private static func place(of name: String, beside recipe: String) -> String? {
        if FileSystem.kind(of: name) != .missing { return name }
        let folder = FileSystem.kind(of: recipe) == .folder ? recipe : recipe.deletingLastPathComponent
        let beside = folder + "/" + name
        return FileSystem.kind(of: beside) == .missing ? nil : beside
    }
}
