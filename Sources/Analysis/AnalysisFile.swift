public import Checkpoints
public import Formats

/// An analysis as JSON: the distances, the nearest block of every size, and the losses that were measured.
public enum AnalysisFile {
    /// The object for an analysis.
    ///
    /// - Parameters:
    ///   - blocks: the nearest block of every size.
    ///   - candidates: the blocks of one size whose loss was measured.
    public static func json(_ similarity: Similarity, blocks: [Block], candidates: BlockLoss?) -> JSONObject {
        func matrix(_ rows: [[Double]]) -> JSON { .array(rows.map { .array($0.map(JSON.double)) }) }
        func block(_ block: Block) -> JSON {
            .object(
                JSONObject([
                    ("start", .int(block.layers.lowerBound)), ("end", .int(block.layers.upperBound)),
                    ("distance", .double(block.distance)), ("loss", block.loss.map(JSON.double) ?? .null),
                ]))
        }
        var distance = JSONObject([("last", matrix(similarity.last))])
        distance["all"] = similarity.all.map(matrix)
        var result = JSONObject([
            ("layers", .int(similarity.layers)), ("samples", .int(similarity.samples)),
            ("context", .int(similarity.context)), ("tokens", .int(similarity.samples * similarity.context)),
            ("distance", .object(distance)), ("blocks", .array(blocks.map(block))),
        ])
        if let candidates {
            result["loss"] = .double(candidates.whole)
            result["candidates"] = .array(candidates.blocks.map(block))
        }
        return result
    }

    /// Reads the distances of a file.
    ///
    /// - Parameters:
    ///   - layers: how many layers the model has.
    ///   - model: the name of the model, for messages.
    /// - Throws: when the file is no analysis, or that of a model with another number of layers.
    public static func read(_ path: String, layers: Int, model: String) throws(CheckpointError) -> Similarity {
        let contents = try FileSystem.contents(of: path, limit: 256 << 20)
        let object = try FileSystem.json(contents, path: path, allowsNonFinite: false)
        func matrix(_ value: JSON?) -> [[Double]]? {
            guard let rows = value?.array, rows.count == layers + 1 else { return nil }
            let numbers = rows.map { ($0.array ?? []).compactMap(\.double) }
            return numbers.allSatisfy { $0.count == layers + 1 && $0.allSatisfy(\.isFinite) } ? numbers : nil
        }
        guard let found = object["layers"]?.int, let distance = object["distance"] else {
            throw CheckpointError(file: path, "is no analysis", hint: "resect analyze writes one")
        }
        guard found == layers else {
            throw CheckpointError(
                file: path, "is the analysis of a model of \(found) layers; \(model) has \(layers)")
        }
        guard let last = matrix(distance["last"]) else {
            throw CheckpointError(file: path, "has no table of \(layers + 1) by \(layers + 1) distances")
        }
        return Similarity(
            layers: layers, samples: object["samples"]?.int ?? 0, context: object["context"]?.int ?? 0,
            last: last, all: matrix(distance["all"]))
    }

    /// Writes the object to a file, whole or not at all.
    public static func write(_ object: JSONObject, to path: String, force: Bool) throws(CheckpointError) {
        try SmallFile.write(Array(JSON.object(object).compact.utf8) + [0x0A], to: path, replaces: force)
    }
}
