internal import ArgumentParser
internal import Checkpoints

/// The root of the command line; every command is a file in Commands/.
struct Resect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resect",
        abstract: "Cuts layers out of language-model checkpoints, quantizes them, and writes smaller ones.",
        discussion: """
            MODEL is a Hugging Face folder, a .safetensors, .gguf or PyTorch file (any shard of a split), an archive made \
            by pack, or - for standard input. The form of an output follows its name: x.gguf, x.safetensors, anything \
            else a folder; - is standard output. Layers are counted from 0, and ranges are half-open: 13:19 is layers \
            13 to 18.

            Exit status: 0 done, 1 the answer is no (verify, diff), 2 trouble (a message says which file, and why), 64 \
            wrong usage.
            """,
        version: Release.version,
        subcommands: [
            Inspect.self, Analyze.self, Cut.self, QuantizeCommand.self, ConvertCommand.self, Evaluate.self,
            Shrink.self, Tokenize.self, Hash.self, Verify.self, Diff.self, Pack.self, Unpack.self,
            FormatsCommand.self,
        ])
}
