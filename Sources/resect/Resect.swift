internal import ArgumentParser

/// The root of the command line; every command is a file in Commands/.
struct Resect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resect",
        abstract: "Make language models smaller: cut layers, heal the cut, quantize.",
        discussion: """
            MODEL is a Hugging Face folder, a .safetensors, .gguf or PyTorch file (any shard of a split), an archive from \
            pack, org/model in the hub cache, or - for standard input. The name of an output selects its format: x.gguf, x.safetensors, anything \
            else a folder; - is standard output. Layers are counted from 0, and ranges are half-open: 13:19 is layers \
            13 to 18.

            Exit status: 0 success, 1 the checkpoints differ (verify, diff) or the output is worse than allowed (shrink), \
            2 an error (the message names the file and the reason), 64 wrong usage.
            """,
        version: VersionText.text,
        groupedSubcommands: [
            CommandGroup(name: "Make a model smaller", subcommands: mainCommands),
            CommandGroup(
                name: "Look and measure",
                subcommands: [Inspect.self, Analyze.self, Evaluate.self, Generate.self, Tokenize.self]),
            CommandGroup(
                name: "Convert, merge, extract, apply",
                subcommands: [ConvertCommand.self, Merge.self, Extract.self, Apply.self]),
            CommandGroup(
                name: "Compare and pack", subcommands: [Diff.self, Verify.self, Hash.self, Pack.self, Unpack.self]),
            CommandGroup(name: "Reference", subcommands: [FormatsCommand.self]),
        ])

    /// The commands that most people want.
    static let mainCommands: [any ParsableCommand.Type] = [
        Shrink.self, Heal.self, Cut.self, QuantizeCommand.self,
    ]
}
