internal import CKernels
package import Checkpoints
internal import Kernels
internal import Weights

extension DecoderModel {
    /// Writes the embeddings of contexts of equal length, and adds learned position embeddings where the model has them.
    ///
    /// - Parameters:
    ///   - first: the position of the first token of each context.
    ///   - states: room for [tokens, hidden].
    /// - Throws: when a token or a position has no embedding.
    package func embed(
        _ contexts: [[Int32]], from first: Int = 0, into states: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let hidden = plan.hidden
        let scratch = Scratch(floats: positions == nil ? 0 : hidden)
        var row = states
        for context in contexts {
            for (index, token) in context.enumerated() {
                guard token >= 0, Int(token) < vocabularyCount else {
                    throw CheckpointError(
                        file: checkpoint.path, tensor: embedding.name,
                        "has \(vocabularyCount.grouped) rows; the tokenizer produced the token \(token)")
                }
                try embedding.writeValues(rows: Int(token)..<Int(token) + 1, into: row)
                if plan.embeddingScale != 1 { resect_multiply_by(row, hidden, plan.embeddingScale) }
                try addPosition(first + index, to: row, scratch)
                row += hidden
            }
        }
    }

    private func addPosition(
        _ position: Int, to row: UnsafeMutablePointer<Float>, _ scratch: Scratch
    ) throws(CheckpointError) {
        guard let positions else { return }
        guard position < positions.rowCount else {
            throw CheckpointError(
                file: checkpoint.path, tensor: positions.name,
                "has \(positions.rowCount.grouped) positions; the text has a token at \(position.grouped)",
                hint: "use a shorter context")
        }
        try positions.writeValues(rows: position..<position + 1, into: scratch.floats)
        resect_add(row, scratch.floats, plan.hidden)
    }
}
