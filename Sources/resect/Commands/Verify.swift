internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `verify` command.
struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Compare a checkpoint with a manifest or with another checkpoint.",
        discussion: """
            Both must have the same tensors with the same values, in any container: GGUF names and row orders are \
            translated, and BF16 or F16 values stored as F32 count as equal. Configurations are not compared; diff \
            does that. When they differ, prints a line per tensor and exits with status 1. With --json: \
            {"equal", "tensors", "sameBytes", "sameValues", "differing": [{"name", "problem"}]}.
            """)

    @OptionGroup var model: ModelArgument

    @Argument(
        help: ArgumentHelp("A manifest from hash or --manifest, or a checkpoint.", valueName: "against"),
        completion: .file())
    var against: String

    @OptionGroup(title: "General") var common: CommonOptions

    func run() throws {
        let checkpoint = try model.open()
        let progress = Progress("verify", unit: .bytes, quiet: common.quiet)
        let result: Verification
        if Manifest.isText(at: against) {
            result = try Verification(
                checkpoint, against: try Manifest(path: against), threads: common.threadCount,
                progress: { progress.report($0, $1) })
        } else {
            result = try Verification(
                checkpoint, against: try Checkpoint.open(against), threads: common.threadCount,
                progress: { progress.report($0, $1) })
        }
        progress.finish()
        if let problem = result.untranslated {
            common.note(
                "the manifest has none of the names, and names of other containers are not available: \(problem)")
        }
        if common.json { Output.json(json(result)) } else { report(result) }
        try ComparisonStatus.exit(isEqual: result.isEqual)
    }

    private func report(_ result: Verification) {
        for finding in result.findings { Output.line("\(finding.name): \(finding.problem)".escapingControls) }
        if result.isEqual {
            let byValue = result.sameValues > 0 ? ", \(result.sameValues.grouped) of them stored in another type" : ""
            Output.line("equal: \(counted(result.count, "tensor"))\(byValue)")
        } else {
            Output.line("different: \(result.findings.count.grouped) of \(counted(result.count, "tensor"))")
        }
    }

    private func json(_ result: Verification) -> JSONObject {
        JSONObject([
            ("equal", .bool(result.isEqual)), ("tensors", .int(result.count)),
            ("sameBytes", .int(result.sameBytes)), ("sameValues", .int(result.sameValues)),
            (
                "differing",
                .array(
                    result.findings.map { finding in
                        .object(JSONObject([("name", .string(finding.name)), ("problem", .string(finding.problem))]))
                    })
            ),
        ])
    }
}
