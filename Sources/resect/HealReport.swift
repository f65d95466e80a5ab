internal import Analysis
internal import Checkpoints
internal import Formats
internal import Healing

extension HealReport {
    /// Prints it on standard error.
    func say(_ common: CommonOptions) {
        let changes = result.weights.changes
        let rejected = changes.count(where: \.isRejected)
        common.note(
            "fitted \(counted(changes.count - rejected, "weight")) on \(result.tokens.grouped) tokens in \(seconds.fixed(1)) s"
                + (rejected > 0 ? "; \(rejected) gained nothing on other text and stay as they were" : ""))
        if result.tokens < result.widestInput {
            common.note(
                "\(result.tokens.grouped) tokens cannot determine weights with \(result.widestInput.grouped) inputs; the rest "
                    + "is left to the ridge")
        }
        if result.layersOfExperts > 0 {
            common.note(
                "the experts of \(counted(result.layersOfExperts, "layer")) stay as they were; only attention was fitted there"
            )
        }
        guard let healed = result.healed, let cut = result.cut else { return }
        let whole = result.whole.map { "whole model \($0.perplexityText(2)), " } ?? ""
        let share = result.shareGivenBack.map { "; the heal gives back \(($0 * 100).fixed(0))% of the loss" } ?? ""
        let isBetter = healed.negativeLogLikelihood < cut.negativeLogLikelihood
        common.note(
            "perplexity on \(cut.tokens.grouped) tokens of held-out text: \(whole)cut \(cut.perplexityText(2)), healed "
                + "\(healed.perplexityText(2))\(isBetter ? share : "; the heal gains nothing there and is left out")")
    }

    /// It as members of the JSON output.
    var json: [(String, JSON)] {
        var members: [(String, JSON)] = [
            ("healedTokens", .int(result.tokens)), ("healSeconds", .double((seconds * 1000).rounded() / 1000)),
        ]
        for (name, found) in [("whole", result.whole), ("cut", result.cut), ("healed", result.healed)] {
            guard let found else { continue }
            members.append(("\(name)Loss", .double(found.negativeLogLikelihood)))
            members.append(("\(name)LossError", .double(found.standardError)))
        }
        if let cut = result.cut { members.append(("heldOutTokens", .int(cut.tokens))) }
        let changes = result.weights.changes.map { change in
            JSON.object(
                JSONObject([
                    ("tensor", .string(change.name)), ("layer", .int(change.layer)),
                    ("ridge", change.ridge.map(JSON.double) ?? .null), ("gain", change.gain.map(JSON.double) ?? .null),
                    ("kept", .bool(!change.isRejected)),
                ]))
        }
        members.append(("weights", .array(changes)))
        return members
    }
}
