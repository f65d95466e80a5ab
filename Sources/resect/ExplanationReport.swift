internal import Checkpoints
internal import Formats
internal import Surgery

/// What `inspect --explain` says: which parts of a model resect does not know.
struct ExplanationReport {
    let explanation: Explanation
    let checkpoint: Checkpoint

    init(_ checkpoint: Checkpoint) {
        self.checkpoint = checkpoint
        explanation = Explanation(checkpoint)
    }

    /// Prints it after the summary.
    func print() {
        Output.line()
        Output.line(heading.escapingControls)
        if !explanation.names.isEmpty {
            Output.line()
            var table = Table(["unknown names", "number", "shape", "bytes"])
            for kind in explanation.names {
                let shape = explanation.shape(of: kind).map(String.init).joined(separator: "x")
                table.add([
                    kind.name.escapingControls, kind.count.grouped, shape.isEmpty ? "scalar" : shape,
                    kind.byteCount.grouped,
                ])
            }
            table.print()
        }
        if !explanation.problems.isEmpty {
            Output.line()
            Output.line("does not fit:")
            for (problem, count) in explanation.problems {
                Output.line("  \(problem)\(count > 1 ? " (\(count) times)" : "")".escapingControls)
            }
        }
        if !explanation.keys.isEmpty {
            Output.line()
            Output.line("settings that resect does not read:")
            for (key, value) in explanation.keys { Output.line("  \(key): \(value.compact)".escapingControls) }
        }
    }

    private var heading: String {
        let known = "\(explanation.knownKindCount) of \(counted(explanation.kindCount, "kind")) of tensors"
        guard let architecture = explanation.architecture else {
            return "no known architecture shares half of its names; resect formats lists them"
        }
        if explanation.isOwn { return "the architecture \(architecture.name) is known; it has \(known)" }
        return "the architecture is unknown; the nearest known one is \(architecture.name), which has \(known)"
    }

    /// A member of the JSON output.
    var json: JSON {
        .object(
            JSONObject([
                ("compared", explanation.architecture.map { .string($0.name) } ?? .null),
                ("known", .bool(explanation.isOwn)), ("kinds", .int(explanation.kindCount)),
                ("knownKinds", .int(explanation.knownKindCount)),
                (
                    "names",
                    .array(
                        explanation.names.map { kind in
                            .object(
                                JSONObject([
                                    ("name", .string(kind.name)), ("tensors", .int(kind.count)),
                                    ("shape", .array(explanation.shape(of: kind).map(JSON.int))),
                                    ("byteCount", .int(kind.byteCount)),
                                ]))
                        })
                ),
                (
                    "problems",
                    .array(
                        explanation.problems.map { problem, count in
                            .object(JSONObject([("problem", .string(problem)), ("count", .int(count))]))
                        })
                ),
                ("unreadKeys", .object(JSONObject(explanation.keys.map { ($0.key, $0.value) }))),
            ]))
    }
}
