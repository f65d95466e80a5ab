public import Checkpoints
public import Formats

/// An analysis as JSON: the distances, and the runs of layers that could be cut with their losses.
public enum AnalysisFile {
    /// The object for an analysis.
    ///
    /// - Parameters:
    ///   - similarity: the distances.
    ///   - candidates: the nearest run of each size.
    ///   - loss: the losses that were measured for runs of one size.
    public static func json(_ similarity: Similarity, candidates: [LayerRun], loss: RunLoss?) -> JSONObject {
        func matrix(_ rows: [[Double]]) -> JSON { .array(rows.map { .array($0.map(JSON.double)) }) }
        var distance = JSONObject([("last", matrix(similarity.last))])
        distance["all"] = similarity.all.map(matrix)
        var result = JSONObject([
            ("layers", .int(similarity.layers)), ("samples", .int(similarity.samples)),
            ("context", .int(similarity.context)), ("tokens", .int(similarity.samples * similarity.context)),
            ("distance", .object(distance)),
        ])
        if let loss {
            result["loss"] = .double(loss.whole)
            result["lossError"] = .double(loss.wholeError)
            result["lossTokens"] = .int(loss.tokens)
        }
        result["candidates"] = .array(merged(candidates, loss?.runs ?? []).map(\.json))
        return result
    }

    /// The nearest run of each size, followed by the other measured runs of its size.
    private static func merged(_ nearest: [LayerRun], _ measured: [LayerRun]) -> [LayerRun] {
        nearest.flatMap { first in
            let same = measured.filter { $0.layers.count == first.layers.count }
            return [same.first { $0.layers == first.layers } ?? first] + same.filter { $0.layers != first.layers }
        }
    }

    /// Reads the distances from a file.
    ///
    /// - Parameters:
    ///   - path: a file that `write` made.
    ///   - layers: the number of layers of the model.
    ///   - model: the name of the model, for messages.
    /// - Throws: when the file is not an analysis, or is one of a model with another number of layers.
    public static func read(_ path: String, layers: Int, model: String) throws(CheckpointError) -> Similarity {
        let contents = try FileSystem.contents(of: path, limit: 256 << 20)
        let object = try FileSystem.json(contents, path: path, allowsNonFinite: false)
        func matrix(_ value: JSON?) -> [[Double]]? {
            guard let rows = value?.array, rows.count == layers + 1 else { return nil }
            let numbers = rows.map { ($0.array ?? []).compactMap(\.double) }
            return numbers.allSatisfy { $0.count == layers + 1 && $0.allSatisfy(\.isFinite) } ? numbers : nil
        }
        guard let found = object["layers"]?.int, let distance = object["distance"] else {
            throw CheckpointError(file: path, "is not an analysis", hint: "resect analyze writes one")
        }
        guard found == layers else {
            throw CheckpointError(
                file: path, "is the analysis of a model with \(found) layers; \(model) has \(layers)")
        }
        guard let last = matrix(distance["last"]) else {
            throw CheckpointError(file: path, "has no table of \(layers + 1) by \(layers + 1) distances")
        }
        return Similarity(
            layers: layers, samples: object["samples"]?.int ?? 0, context: object["context"]?.int ?? 0,
            last: last, all: matrix(distance["all"]))
    }

    /// Writes the object to a file atomically.
    public static func write(_ object: JSONObject, to path: String, force: Bool) throws(CheckpointError) {
        try WholeFile.write(Array(JSON.object(object).compact.utf8) + [0x0A], to: path, replaces: force)
    }
}

extension LayerRun {
    /// A candidate in an analysis and in what `cut` and `shrink` print.
    public var json: JSON {
        var object = JSONObject([
            ("layers", .array([.string("\(layers.lowerBound):\(layers.upperBound)")])),
            ("distance", .double(distance)), ("loss", loss.map(JSON.double) ?? .null),
        ])
        object["lossError"] = lossError.map(JSON.double)
        return .object(object)
    }
}
