internal import Analysis
internal import Checkpoints
internal import Formats
internal import Healing
internal import Surgery

extension CutChoice {
    /// Members of the JSON output.
    var json: [(String, JSON)] {
        switch self {
        case .angle(let run): [("distance", .double(run.distance))]
        case .loss(let loss, let best): RunReport.json(loss, chosen: best)
        case .healed(let choice): HealedChoiceReport.json(choice)
        }
    }

    /// The table of candidates; `nil` where nothing was compared.
    var table: Table? {
        switch self {
        case .angle: nil
        case .loss(let loss, _): RunReport.table(loss)
        case .healed(let choice): HealedChoiceReport.table(choice)
        }
    }
}

/// The candidates that were compared after a heal.
enum HealedChoiceReport {
    /// A table with a mark at the best.
    static func table(_ choice: HealedChoice) -> Table {
        var table = Table(["layers", "proposed by", "distance", "healed loss", "perplexity", ""])
        table.add(["whole", "", "", choice.wholeLoss.fixed(4), choice.whole.perplexityText(2), ""])
        for (candidate, found) in zip(choice.candidates, choice.evaluations) {
            table.add([
                candidate.dropped.texts.joined(separator: ","), candidate.rule.rawValue, candidate.distance.fixed(4),
                (found?.negativeLogLikelihood ?? .infinity).fixed(4), found?.perplexityText(2) ?? "inf",
                candidate == choice.best ? "<" : "",
            ])
        }
        return table
    }

    /// Members of the JSON output.
    static func json(_ choice: HealedChoice) -> [(String, JSON)] {
        let candidates = zip(choice.candidates, choice.evaluations).map { candidate, found in
            JSON.object(
                JSONObject([
                    ("layers", .array(candidate.dropped.texts.map(JSON.string))),
                    ("rule", .string(candidate.rule.rawValue)),
                    ("distance", .double(candidate.distance)),
                    ("healedLoss", (found?.negativeLogLikelihood).map(JSON.double) ?? .null),
                    ("lossError", (found?.standardError).map(JSON.double) ?? .null),
                ]))
        }
        return [
            ("distance", .double(choice.best.distance)), ("wholeLoss", .double(choice.wholeLoss)),
            ("wholeLossError", .double(choice.whole.standardError)), ("lossTokens", .int(choice.whole.tokens)),
            ("candidates", .array(candidates)),
        ]
    }
}
