internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `diff` command.
struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the differences between two checkpoints: tensors, names, types, values, metadata.",
        discussion: """
            Tensors are paired by name, between GGUF and other containers by HF name; renamed tensors are found by \
            their values. For changed tensors the output has the largest absolute and the root mean square difference. \
            Exit status 1 when anything differs. With --json: {"equal", "added", "removed", "changed": [{"name", "maxAbs", "rms", \
            "differing", "nonFinite", "dtype"?, "shape"?}], "renamed": [{"from", "to", "dtype"?}], "retyped": [{"name", \
            "dtype"}], "metadata": {"added", "removed", "changed"}}; "dtype" and "shape" are pairs, before and after; \
            metadata is null between two containers.
            """)

    @Argument(help: ArgumentHelp("The first checkpoint.", valueName: "a"), completion: .file())
    var first: String

    @Argument(help: ArgumentHelp("The second checkpoint.", valueName: "b"), completion: .file())
    var second: String

    @OptionGroup(title: "General") var common: CommonOptions

    func run() throws {
        let before = try Checkpoint.open(first)
        let after = try Checkpoint.open(second)
        let progress = Progress("diff", unit: .bytes, quiet: common.quiet)
        let difference = try CheckpointDifference(
            from: before, to: after, threads: common.threadCount, progress: { progress.report($0, $1) })
        progress.finish()
        if common.json {
            Output.json(DifferenceReport.json(difference))
        } else {
            DifferenceReport.print(difference)
            if difference.metadata == nil { common.note("metadata is not compared between different containers") }
        }
        try ComparisonStatus.exit(isEqual: difference.isEmpty)
    }
}
