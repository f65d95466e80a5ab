internal import Checkpoints
internal import Formats
internal import Surgery

/// The output of `diff` as text and as JSON.
enum DifferenceReport {
    /// Prints the differences by kind, and a line with their numbers.
    static func print(_ difference: CheckpointDifference) {
        func lines(_ word: String, _ texts: [String]) {
            for text in texts { Output.line("\(word.padded(9))\(text)".escapingControls) }
        }
        lines("removed", LayerNames.lines(difference.removed))
        lines("added", LayerNames.lines(difference.added))
        lines("renamed", LayerNames.lines(difference.renamed.map { ($0.from, $0.to) }))
        for (dtypes, names) in byTypes(difference.retyped) {
            lines("retyped", LayerNames.lines(names).map { "\($0) \(dtypes), the same values" })
        }
        if !difference.changed.isEmpty {
            var table = Table(["changed tensor", "max abs", "rms", "differing", "of", "type"])
            for item in difference.changed { table.add(row(item)) }
            table.print()
        }
        for (key, value) in difference.metadata?.removed ?? [] { lines("removed", ["\(key): \(value.compact)"]) }
        for (key, value) in difference.metadata?.added ?? [] { lines("added", ["\(key): \(value.compact)"]) }
        for change in difference.metadata?.changed ?? [] {
            lines("changed", ["\(change.key): \(change.from.compact) → \(change.to.compact)"])
        }
        if difference.isEmpty {
            Output.line("equal")
            return
        }
        let metadata = difference.metadata.map { $0.added.count + $0.removed.count + $0.changed.count } ?? 0
        Output.line(
            "different: \(counted(difference.removed.count, "tensor")) removed, \(difference.added.count) added, "
                + "\(difference.renamed.count) renamed, \(difference.retyped.count) retyped, "
                + "\(difference.changed.count) changed; "
                + counted(metadata, "entry", "entries") + " of metadata")
    }

    private static func row(_ item: CheckpointDifference.Changed) -> [String] {
        var type = item.dtypes.from == item.dtypes.to ? "\(item.dtypes.to)" : "\(item.dtypes.from) → \(item.dtypes.to)"
        if item.shapes.from != item.shapes.to { type += " \(item.shapes.from) → \(item.shapes.to)" }
        let count = item.shapes.to.reduce(1, *).grouped
        guard let distance = item.distance else { return [item.name.escapingControls, "-", "-", "-", count, type] }
        if distance.nonFinite > 0 { type += ", \(distance.nonFinite.grouped) not finite" }
        return [
            item.name.escapingControls, distance.maxAbs.short, distance.rms.short, distance.differing.grouped, count,
            type,
        ]
    }

    private static func byTypes(_ items: [CheckpointDifference.Retyped]) -> [(String, [String])] {
        var result: [(String, [String])] = []
        for item in items {
            let types = "\(item.dtypes.from) → \(item.dtypes.to)"
            if let index = result.firstIndex(where: { $0.0 == types }) {
                result[index].1.append(item.name)
            } else {
                result.append((types, [item.name]))
            }
        }
        return result
    }

    /// The differences as a JSON object.
    static func json(_ difference: CheckpointDifference) -> JSONObject {
        func names(_ names: [String]) -> JSON { .array(names.map(JSON.string)) }
        return JSONObject([
            ("equal", .bool(difference.isEmpty)), ("added", names(difference.added)),
            ("removed", names(difference.removed)), ("changed", .array(difference.changed.map(json))),
            (
                "renamed",
                .array(
                    difference.renamed.map { item in
                        var object = JSONObject([("from", .string(item.from)), ("to", .string(item.to))])
                        object["dtype"] = pair(item.dtypes)
                        return .object(object)
                    })
            ),
            (
                "retyped",
                .array(
                    difference.retyped.map { item in
                        var object = JSONObject([("name", .string(item.name))])
                        object["dtype"] = pair(item.dtypes)
                        return .object(object)
                    })
            ),
            ("metadata", difference.metadata.map { .object(json($0)) } ?? .null),
        ])
    }

    private static func json(_ item: CheckpointDifference.Changed) -> JSON {
        var object = JSONObject([("name", .string(item.name))])
        object["maxAbs"] = item.distance.map { .double($0.maxAbs) } ?? .null
        object["rms"] = item.distance.map { .double($0.rms) } ?? .null
        object["differing"] = item.distance.map { .int($0.differing) } ?? .null
        object["nonFinite"] = item.distance.map { .int($0.nonFinite) } ?? .null
        object["dtype"] = pair(item.dtypes)
        if item.shapes.from != item.shapes.to {
            object["shape"] = .array([item.shapes.from, item.shapes.to].map { .array($0.map(JSON.int)) })
        }
        return .object(object)
    }

    /// Both types; `nil` when they are equal.
    private static func pair(_ dtypes: (from: DType, to: DType)) -> JSON? {
        if dtypes.from == dtypes.to { return nil }
        return .array([.string(dtypes.from.name), .string(dtypes.to.name)])
    }

    private static func json(_ metadata: MetadataDifference) -> JSONObject {
        JSONObject([
            ("added", .object(JSONObject(metadata.added.map { ($0.key, $0.value) }))),
            ("removed", .object(JSONObject(metadata.removed.map { ($0.key, $0.value) }))),
            (
                "changed",
                .object(JSONObject(metadata.changed.map { ($0.key, .array([$0.from, $0.to])) }))
            ),
        ])
    }
}
