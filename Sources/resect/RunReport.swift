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
    static func print(_ loss: RunLoss) {
        table(loss).show()
        Output.line("losses over \(loss.tokens.grouped) tokens; ± is the standard error")
    }

    /// A table of the candidates with a mark at the best.
    static func table(_ loss: RunLoss) -> Table {
        var table = Table(["layers", "distance", "loss", "perplexity", ""])
        table.add(["whole", "", loss.whole.fixed(4), perplexity(loss.whole, loss.wholeError), ""])
        for candidate in loss.runs {
            let measured = candidate.loss ?? .nan
            table.add([
                candidate.layers.text, candidate.distance.fixed(4), measured.fixed(4),
                perplexity(measured, candidate.lossError ?? .nan),
                candidate.layers == loss.best?.layers ? "<" : "",
            ])
        }
        return table
    }

    /// The perplexity of a loss, with its standard error.
    private static func perplexity(_ loss: Double, _ error: Double) -> String {
        "\(exp(loss).fixed(2)) ± \((exp(loss) * error).fixed(2))"
    }

    /// The losses as members of the JSON output.
    static func json(_ loss: RunLoss, chosen: LayerRun) -> [(String, JSON)] {
        [
            ("distance", .double(chosen.distance)), ("loss", .double(chosen.loss ?? .nan)),
            ("wholeLoss", .double(loss.whole)), ("wholeLossError", .double(loss.wholeError)),
            ("lossTokens", .int(loss.tokens)),
            ("candidates", .array(loss.runs.map(\.json))),
        ]
    }
}
