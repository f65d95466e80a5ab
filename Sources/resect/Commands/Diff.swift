internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// What is different between two checkpoints.
struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what is different between two checkpoints: tensors, names, types, values, metadata.",
        discussion: """
            Tensors are paired by name, of two containers by HF's; those that moved are found by what they hold. Changed ones \
            are given with the largest and the root mean square difference of their values. Exit status 1 when \
            anything differs. With --json: {"equal", "added", "removed", "changed": [{"name", "maxAbs", "rms", \
            "differing", "nonFinite", "dtype"?, "shape"?}], "renamed": [{"from", "to", "dtype"?}], "retyped": [{"name", \
            "dtype"}], "metadata": {"added", "removed", "changed"}}; "dtype" and "shape" are pairs, before and after; \
            metadata is null between two containers.
            """)

    @Argument(help: ArgumentHelp("The checkpoint before.", valueName: "a"))
    var first: String

    @Argument(help: ArgumentHelp("The checkpoint after.", valueName: "b"))
    var second: String

    @OptionGroup var common: CommonOptions

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
            if difference.metadata == nil { common.note("metadata of two kinds of container is not compared") }
        }
        try Answer.leave(isYes: difference.isEmpty)
    }
}
