internal import Analysis
internal import Formats

/// Distances and losses as `Measures` keeps them.
extension Similarity {
    var kept: JSON {
        func matrix(_ rows: [[Double]]) -> JSON { .array(rows.map { .array($0.map(JSON.double)) }) }
        return .object(
            JSONObject([
                ("layers", .int(layers)), ("samples", .int(samples)), ("context", .int(context)),
                ("last", matrix(last)),
                ("all", all.map(matrix) ?? .null),
            ]))
    }

    init?(kept: JSON) {
        func matrix(_ value: JSON?) -> [[Double]]? {
            value?.array.map { rows in rows.map { ($0.array ?? []).compactMap(\.double) } }
        }
        guard let layers = kept["layers"]?.int, let samples = kept["samples"]?.int, let context = kept["context"]?.int,
            let last = matrix(kept["last"])
        else { return nil }
        self.init(layers: layers, samples: samples, context: context, last: last, all: matrix(kept["all"]))
    }
}

extension RunLoss {
    var kept: JSON {
        .object(
            JSONObject([
                ("whole", .double(whole)), ("wholeError", .double(wholeError)), ("tokens", .int(tokens)),
                ("losses", .array(runs.map { JSON(loss: $0.loss ?? .infinity) })),
                ("errors", .array(runs.map { JSON(loss: $0.lossError ?? .infinity) })),
            ]))
    }

    /// What was kept of these runs.
    init?(kept: JSON, of runs: [LayerRun]) {
        guard let whole = kept["whole"]?.double, let error = kept["wholeError"]?.double,
            let tokens = kept["tokens"]?.int, let losses = kept["losses"]?.array, let errors = kept["errors"]?.array,
            losses.count == runs.count, errors.count == runs.count
        else { return nil }
        var measured = runs
        for index in runs.indices {
            guard let loss = losses[index].loss, let error = errors[index].loss else { return nil }
            measured[index].loss = loss
            measured[index].lossError = error
        }
        self.init(whole: whole, wholeError: error, tokens: tokens, runs: measured)
    }
}
