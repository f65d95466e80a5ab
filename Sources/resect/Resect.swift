internal import ArgumentParser
internal import Checkpoints

/// The root of the command line; every command is a file in Commands/.
struct Resect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resect",
        abstract: "Cuts layers out of language-model checkpoints, quantizes them, and writes smaller ones.",
        discussion: """
            MODEL is a Hugging Face folder, a .safetensors file or a .gguf file (any shard of a split). The form of \
            an output follows its name: x.gguf, x.safetensors, anything else a folder. Layers are counted from 0, \
            and ranges are half-open: 13:19 is layers 13 to 18.

            Exit status: 0 done, 2 trouble (a message says which file, and why), 64 wrong usage.
            """,
        version: Release.version,
        subcommands: [
            Inspect.self, Analyze.self, Cut.self, QuantizeCommand.self, ConvertCommand.self, Evaluate.self,
            Shrink.self, Tokenize.self, Hash.self, Verify.self, Diff.self, Pack.self, Unpack.self,
        ])
}
