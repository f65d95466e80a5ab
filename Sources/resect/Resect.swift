internal import ArgumentParser
internal import Checkpoints

/// The root of the command line; every command is a file in Commands/.
struct Resect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resect",
        abstract: "Cuts layers out of language-model checkpoints, quantizes them, and writes smaller ones.",
        discussion: """
            MODEL is a Hugging Face folder, a .safetensors, .gguf or PyTorch file (any shard of a split), an archive from \
            pack, or - for standard input. The name of an output selects its format: x.gguf, x.safetensors, anything \
            else a folder; - is standard output. Layers are counted from 0, and ranges are half-open: 13:19 is layers \
            13 to 18.

            Exit status: 0 success, 1 the checkpoints differ (verify, diff), 2 an error (the message names the file and \
            the reason), 64 wrong usage.
            """,
        version: Release.version,
        subcommands: [
            Inspect.self, Analyze.self, Cut.self, QuantizeCommand.self, ConvertCommand.self, Merge.self, Extract.self,
            Evaluate.self, Generate.self, Heal.self, Shrink.self, Tokenize.self, Hash.self, Verify.self, Diff.self,
            Pack.self,
            Unpack.self,
            FormatsCommand.self,
        ])
}
