internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `apply` command.
struct Apply: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Do what a recipe says: the steps that made another model.",
        discussion: """
            RECIPE is the resect.json of a folder that resect wrote, the folder itself, a GGUF file with this history, or \
            a file that you wrote: {"command": "cut", "options": {"layers": "4:6"}}, or {"steps": [{"command", "options"}, \
            …]}. Commands are cut, heal, shrink, merge, quantize and convert; options have their long names, and a text, \
            true, or a list of texts. Members and options that are not known are refused by name. Files that options \
            name are looked up as they are written, then beside the recipe. With "patch", the name of an archive from \
            --save-patch, the step is not computed: the patch gives its result.

            A history of several steps is applied one step at a time, with --step. With the model that the recipe was \
            made with, the output has the same bytes.
            """)

    @Argument(help: ArgumentHelp("A recipe, or a model that has one.", valueName: "recipe"))
    var recipe: String

    @OptionGroup var model: ModelArgument

    @Option(
        name: [.short, .customLong("output")],
        help: ArgumentHelp("The output: x.gguf, x.safetensors, or a folder.", valueName: "path"))
    var output: String

    @Option(name: .long, help: ArgumentHelp("The step to apply, counted from 1.", valueName: "n"))
    var step: Int?

    @Flag(name: .long, help: "Replace an existing output.")
    var force = false

    @Flag(name: .long, help: "Print the planned output tensor by tensor, and write nothing.")
    var dryRun = false

    @Flag(name: .long, inversion: .prefixedNo, help: "Write into the output how it was made.")
    var provenance = true

    @OptionGroup var common: CommonOptions

    private static let commands: [any ParsableCommand.Type] = [
        Cut.self, Heal.self, Shrink.self, Merge.self, QuantizeCommand.self, ConvertCommand.self,
    ]
    /// Options that name files which are read.
    private static let files: Set<String> = ["corpus", "evaluation", "adapter", "imatrix", "analysis", "base"]
    private static let longestRecipe = 16 << 20

    func validate() throws {
        if model.path == "-" { throw ValidationError("apply reads the model twice, and standard input only once") }
    }

    func run() throws {
        let history = try read()
        let count = history.steps.count
        guard let number = step ?? (count == 1 ? 1 : nil) else {
            throw CheckpointError(
                file: recipe, "has \(count) steps, which are applied one at a time",
                hint: "--step 1 applies the first: \(history.steps[0].command)")
        }
        guard (1...count).contains(number) else {
            throw CheckpointError(file: recipe, "has \(counted(count, "step")), and no step \(number)")
        }
        let step = history.steps[number - 1]
        try compareModel(step)
        if let patch = step.patch {
            guard !dryRun else { throw ValidationError("--dry-run plans a step; a patch has its result already") }
            let arguments = ["unpack", try found(patch), "--against", model.path] + shared
            return try Invocation.run(arguments, for: step)
        }
        guard let command = Apply.commands.first(where: { Apply.name($0) == step.command }) else {
            let known = Apply.commands.map(Apply.name).joined(separator: " ")
            throw CheckpointError(
                file: recipe, "the command '\(step.command)' is not one that recipes have", hint: "known: \(known)")
        }
        var given = step
        given.options = try resolved(step, of: command)
        let arguments =
            [step.command, model.path] + given.arguments + shared + (dryRun ? ["--dry-run"] : [])
            + [provenance ? "--provenance" : "--no-provenance"]
        do {
            _ = try Resect.parseAsRoot(arguments)
        } catch {
            throw CheckpointError(
                file: recipe, "\(step.command) does not take its options: \(Resect.message(for: error))")
        }
        try Invocation.run(arguments, for: step)
    }

    private static func name(_ command: any ParsableCommand.Type) -> String {
        command.configuration.commandName ?? "\(command)".lowercased()
    }

    /// The arguments of this command that the step has too.
    private var shared: [String] {
        ["-o", output] + (force ? ["--force"] : []) + (common.json ? ["--json"] : [])
            + (common.quiet ? ["--quiet"] : [])
            + (common.threads.map { ["--threads", "\($0)"] } ?? [])
    }

    private func read() throws -> Provenance {
        if FileSystem.kind(of: recipe) == .file, !recipe.lowercased().hasSuffix(".gguf") {
            let contents = try FileSystem.contents(of: recipe, limit: Apply.longestRecipe)
            return try Provenance(FileSystem.json(contents, path: recipe), file: recipe)
        }
        guard let provenance = try Provenance(of: Checkpoint.open(recipe)) else {
            throw CheckpointError(file: recipe, "does not say how it was made")
        }
        return provenance
    }

    /// Says when the recipe was made with another model.
    private func compareModel(_ step: Provenance.Step) throws {
        guard let expected = step.inputs.first(where: { $0["option"] == nil })?["hash"]?.string else { return }
        let found = try Provenance.input(model.open())["hash"]?.string
        if found != expected { common.note("the recipe was made with another model than \(model.path)") }
    }

    /// The options with the paths of the files that they name.
    ///
    /// - Throws: for an option that the command does not have, and for a file that is missing or has changed.
    private func resolved(
        _ step: Provenance.Step, of command: any ParsableCommand.Type
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
            guard Apply.files.contains(key) else { continue }
            let texts = value.array?.compactMap(\.string) ?? value.string.map { [$0] } ?? []
            let paths = try texts.map { (text) throws(CheckpointError) in JSON.string(try path(text, key, step)) }
            options[key] = value.array == nil ? paths.first : .array(paths)
        }
        return options
    }

    private func path(_ text: String, _ option: String, _ step: Provenance.Step) throws(CheckpointError) -> String {
        if ["builtin", "-"].contains(text), option == "corpus" || option == "evaluation" { return text }
        // An adapter may have a weight behind an equals sign.
        let sign = option == "adapter" && FileSystem.kind(of: text) == .missing ? text.lastIndex(of: "=") : nil
        let name = sign.map { String(text[..<$0]) } ?? text
        let path = try found(name)
        let last = name.lastPathComponent
        let stated = step.texts + step.inputs.filter { $0["option"]?.string == option }
        if let expected = stated.first(where: { $0["name"]?.string == last })?["hash"]?.string {
            let isText = step.texts.contains { $0["name"]?.string == last }
            let value = try isText ? Provenance.text(path) : Provenance.input(path, of: option)
            guard value["hash"]?.string == expected else {
                throw CheckpointError(file: path, "is not what the recipe was made with: its hash differs")
            }
        }
        return path + (sign.map { String(text[$0...]) } ?? "")
    }

    /// A file that a recipe names: as it is written, or beside the recipe.
    private func found(_ name: String) throws(CheckpointError) -> String {
        if FileSystem.kind(of: name) != .missing { return name }
        let folder = FileSystem.kind(of: recipe) == .folder ? recipe : recipe.deletingLastPathComponent
        let beside = folder + "/" + name
        guard FileSystem.kind(of: beside) != .missing else {
            throw CheckpointError(file: recipe, "names '\(name)', which is neither here nor beside the recipe")
        }
        return beside
    }
}
