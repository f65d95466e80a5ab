internal import Analysis
internal import Checkpoints
internal import Formats

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The measured losses of runs of layers.
enum RunReport {
    /// Prints a table of the candidates and marks the best.
    static func print(_ loss: RunLoss) { table(loss).show() }

    /// A table of the candidates with a mark at the best.
    static func table(_ loss: RunLoss) -> Table {
        var table = Table(["layers", "distance", "loss", "perplexity", ""])
        table.add(["whole", "", loss.whole.fixed(4), exp(loss.whole).fixed(2), ""])
        for candidate in loss.runs {
            let measured = candidate.loss ?? .nan
            table.add([
                candidate.layers.text, candidate.distance.fixed(4), measured.fixed(4), exp(measured).fixed(2),
                candidate.layers == loss.best?.layers ? "<" : "",
            ])
        }
        return table
    }

    /// The losses as members of the JSON output.
    static func json(_ loss: RunLoss, chosen: LayerRun) -> [(String, JSON)] {
        [
            ("distance", .double(chosen.distance)), ("loss", .double(chosen.loss ?? .nan)),
            ("wholeLoss", .double(loss.whole)),
            ("candidates", .array(loss.runs.map(\.json))),
        ]
    }
}
