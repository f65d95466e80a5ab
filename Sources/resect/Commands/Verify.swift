internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// Whether a checkpoint is what it should be.
struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Hold a checkpoint against a manifest, or against another checkpoint.",
        discussion: """
            The same tensors must hold the same values, in whatever container: GGUF's names and row orders are \
            translated, and BF16 or F16 stored as F32 counts as equal. Configurations are not compared; diff does that. \
            Exit status 1, and a line for each tensor that is not as it should be, when they differ. With --json: \
            {"equal", "tensors", "sameBytes", "sameValues", "differing": [{"name", "problem"}]}.
            """)

    @OptionGroup var model: ModelArgument

    @Argument(help: ArgumentHelp("A manifest that hash or --manifest wrote, or a checkpoint.", valueName: "against"))
    var against: String

    @OptionGroup var common: CommonOptions

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
            common.note("no name is in the manifest, and names of another container cannot be tried: \(problem)")
        }
        if common.json { Output.json(json(result)) } else { report(result) }
        try Answer.leave(isYes: result.isEqual)
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
