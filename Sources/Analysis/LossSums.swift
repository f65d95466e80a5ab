/// Sums over the losses of tokens, for their mean and its standard error.
package struct LossSums: Sendable {
    private var count = 0
    private var sum = 0.0, squares = 0.0

    /// Sums of no losses.
    package init() {}

    /// Adds a loss.
    package mutating func add(_ loss: Double) {
        count += 1
        sum += loss
        squares += loss * loss
    }

    /// The mean.
    package var mean: Double { sum / Double(count) }

    /// The standard error of the mean, as llama-perplexity computes it: from the variance over all tokens and n - 1.
    package var standardError: Double {
        guard count > 1 else { return 0 }
        let variance = max(0, squares / Double(count) - mean * mean)
        return (variance / Double(count - 1)).squareRoot()
    }

    /// The losses as the evaluation of a model.
    package var evaluation: Evaluation {
        Evaluation(tokens: count, negativeLogLikelihood: mean, standardError: standardError)
    }
}
