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

            The steps follow each other; the outputs between them lie in a hidden folder beside OUT until the last step is \
            done. --step applies one of them. With the model that the recipe was made with, the output has the same bytes.

            The hash of an input in resect.json covers its settings, the names, types and shapes of its tensors, and the \
            beginning of some 256 of them, so that a large model is not read twice. It differs from what resect hash \
            prints, which covers every byte.
            """)

    @Argument(help: ArgumentHelp("A recipe, or a model that has one.", valueName: "recipe"), completion: .file())
    var recipe: String

    @OptionGroup var model: ModelArgument

    @Option(
        name: [.short, .customLong("output")],
        help: ArgumentHelp("The output: x.gguf, x.safetensors, or a folder.", valueName: "path"), completion: .file())
    var output: String

    @Option(
        name: .long, help: ArgumentHelp("The only step to apply, counted from 1. Default: all steps.", valueName: "n"))
    var step: Int?

    @Flag(name: .shortAndLong, help: "Replace an existing output.")
    var force = false

    @Flag(name: [.customShort("n"), .long], help: "Print the planned output tensor by tensor, and write nothing.")
    var dryRun = false

    @Flag(name: .long, inversion: .prefixedNo, help: "Write into the output how it was made.")
    var provenance = true

    @OptionGroup(title: "General") var common: CommonOptions

    private static let longestRecipe = 16 << 20

    func validate() throws {
        if model.path == "-" { throw ValidationError("apply reads the model twice, and standard input only once") }
    }

    func run() throws {
        let history = try read()
        let count = history.steps.count
        if let step, !(1...count).contains(step) {
            throw CheckpointError(file: recipe, "has \(counted(count, "step")), and no step \(step)")
        }
        let numbers = step.map { $0...$0 } ?? 1...count
        let steps = try numbers.map { try RecipeStep(history.steps[$0 - 1], number: $0, of: recipe) }
        if !provenance, steps.last?.isPatch == true {
            throw ValidationError("--no-provenance changes what is written, and a patch restores it as it was")
        }
        try OutputNames([output]).check(models: [], texts: [recipe])
        if dryRun, let patched = steps.first(where: \.isPatch) {
            throw ValidationError(
                "--dry-run plans a step; the patch of step \(patched.number) has its result already")
        }
        let opened = try model.open()
        try steps[0].compare(opened, common)
        guard steps.count > 1 else { return try steps[0].run(on: model.path, arguments(isLast: true)) }
        try checkSeveral()
        try run(steps, form: opened.form)
    }

    /// Runs steps one after the other; the outputs of all but the last are removed at the end.
    private func run(_ steps: [RecipeStep], form: Checkpoint.Form) throws {
        let folder = try IntermediateFolder(beside: output)
        try withExtendedLifetime(folder) { try run(steps, form: form, in: folder) }
    }

    private func run(_ steps: [RecipeStep], form: Checkpoint.Form, in folder: IntermediateFolder) throws {
        var (input, form) = (model.path, form)
        for (index, step) in steps.enumerated() {
            common.note("step \(step.number): \(step.command)")
            guard index < steps.count - 1 else { return try step.run(on: input, arguments(isLast: true)) }
            let next = steps[index + 1]
            form = next.form ?? step.outputForm ?? form
            let name = next.inputName ?? RecipeStep.fileName(model.path) ?? "model"
            var path = try folder.path("\(step.number)", name: ShardName.whole(name))
            try Output.withoutResults(common.json) {
                try step.run(on: input, arguments(isLast: false), to: path, form: form)
            }
            // The step may have split its output.
            if FileSystem.kind(of: path) == .missing { path = path.deletingLastPathComponent + "/" + name }
            try next.compare(Checkpoint.open(path), common)
            input = path
        }
    }

    /// What several steps need before the first one takes its time.
    private func checkSeveral() throws {
        if dryRun { throw ValidationError("--dry-run plans one step; choose it with --step") }
        if output == "-" {
            throw ValidationError("several steps write files beside the output; -o - has no name for them")
        }
        if FileSystem.absolute(output) == FileSystem.absolute(model.path) {
            throw CheckpointError(file: output, "is an input")
        }
        guard force || FileSystem.kind(of: output) == .missing else {
            throw CheckpointError(file: output, "exists", hint: "--force replaces it")
        }
    }

    /// The arguments that a step shares with this command.
    private func arguments(isLast: Bool) -> RecipeStep.Arguments {
        var common = (self.common.quiet ? ["--quiet"] : [])
        common += self.common.threads.map { ["--threads", "\($0)"] } ?? []
        guard isLast else { return RecipeStep.Arguments(common: common, planned: ["--provenance"]) }
        return RecipeStep.Arguments(
            common: ["-o", output] + common + (force ? ["--force"] : []) + (self.common.json ? ["--json"] : []),
            planned: [provenance ? "--provenance" : "--no-provenance"] + (dryRun ? ["--dry-run"] : []))
    }

    private func read() throws -> Provenance {
        let isModel = [".gguf", ".safetensors", ".resect"].contains { recipe.lowercased().hasSuffix($0) }
        if FileSystem.kind(of: recipe) == .file, !isModel {
            let contents = try FileSystem.contents(of: recipe, limit: Apply.longestRecipe)
            return try Provenance(FileSystem.json(contents, path: recipe), file: recipe)
        }
        guard let provenance = try Provenance(of: Checkpoint.open(recipe)) else {
            throw CheckpointError(file: recipe, "does not say how it was made")
        }
        return provenance
    }
}
