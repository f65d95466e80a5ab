/// What a model should predict: for each state the probabilities of a few tokens, with all others as one class.
///
/// The token that follows in a text is the case of one class with the probability 1.
package struct TokenClasses: Sendable {
    /// Indices of the states that predict.
    package let rows: [Int]
    /// Named classes of each row.
    package let count: Int
    /// Their tokens, [rows, count].
    package let tokens: [Int32]
    /// Their probabilities, [rows, count].
    package let probabilities: [Float]
    /// The probability of all other tokens together, for each row.
    package let rests: [Float]

    /// Classes whose lists fit together.
    package init(rows: [Int], count: Int, tokens: [Int32], probabilities: [Float], rests: [Float]) {
        precondition(
            tokens.count == rows.count * count && probabilities.count == tokens.count && rests.count == rows.count,
            "lists of classes that do not fit together")
        (self.rows, self.count, self.tokens) = (rows, count, tokens)
        (self.probabilities, self.rests) = (probabilities, rests)
    }

    /// The next token of every token but the last of each context.
    package init(following contexts: [[Int32]]) {
        var rows: [Int] = [], tokens: [Int32] = []
        var start = 0
        for context in contexts {
            for index in context.indices.dropLast() {
                rows.append(start + index)
                tokens.append(context[index + 1])
            }
            start += context.count
        }
        self.init(
            rows: rows, count: 1, tokens: tokens, probabilities: Array(repeating: 1, count: rows.count),
            rests: Array(repeating: 0, count: rows.count))
    }
}
