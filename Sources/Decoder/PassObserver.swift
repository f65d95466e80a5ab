package import Checkpoints
internal import Kernels

/// Receives what a forward pass computes, on the thread that runs it, for checks or for sums over activations.
///
/// Contexts are run in batches, so that each method is called several times for a layer, each time with other tokens.
package protocol PassObserver {
    /// The residual stream before a layer; after the last layer, `layer` is the number of layers.
    func stream(_ rows: ObservedRows, before layer: Int) throws(CheckpointError)

    /// The operand of products with weights, once for those that share it; `layer` is `nil` for the output matrix.
    func operand(_ rows: ObservedRows, of roles: [ProductRole], layer: Int?) throws(CheckpointError)

    /// The operand of products with the weights of one expert, for the tokens that use it.
    func experts(_ rows: ObservedRows, expert: Int, of roles: [ProductRole], layer: Int) throws(CheckpointError)
}

extension PassObserver {
    /// Ignores the stream.
    package func stream(_ rows: ObservedRows, before layer: Int) throws(CheckpointError) {}
    /// Ignores experts.
    package func experts(
        _ rows: ObservedRows, expert: Int, of roles: [ProductRole], layer: Int
    ) throws(CheckpointError) {}
    /// Ignores operands.
    package func operand(_ rows: ObservedRows, of roles: [ProductRole], layer: Int?) throws(CheckpointError) {}
}

/// The weights that a forward pass multiplies with, by their roles in formats/architectures.
package enum ProductRole: String, CaseIterable, Sendable {
    case query = "attention_q"
    case key = "attention_k"
    case value = "attention_v"
    case attentionOutput = "attention_output"
    case gate = "ffn_gate"
    case up = "ffn_up"
    case down = "ffn_down"
    case router
    case expertsGate = "experts_gate"
    case expertsUp = "experts_up"
    case expertsDown = "experts_down"
    case sharedGate = "shared_gate"
    case sharedUp = "shared_up"
    case sharedDown = "shared_down"
    case output
}

/// Rows of f32 values, one for each token; they last as long as the call.
package struct ObservedRows {
    /// [tokens, columns].
    package let values: UnsafePointer<Float>
    /// Elements of a row.
    package let columns: Int
    /// The token of each row, counted over all contexts of the pass.
    package let tokens: [Int]
}

/// Passes the values of one layer, for one batch of contexts, to an observer.
struct LayerObservation {
    let observer: (any PassObserver)?
    let layer: Int
    let tokens: Range<Int>

    /// No observer.
    static var none: LayerObservation { LayerObservation(observer: nil, layer: 0, tokens: 0..<0) }

    func stream(_ states: UnsafePointer<Float>, columns: Int) throws(CheckpointError) {
        guard let observer else { return }
        try observer.stream(ObservedRows(values: states, columns: columns, tokens: Array(tokens)), before: layer)
    }

    func operand(_ operand: MatrixOperand, of roles: [ProductRole]) throws(CheckpointError) {
        guard let observer else { return }
        let rows = ObservedRows(values: operand.values, columns: operand.columns, tokens: Array(tokens))
        try observer.operand(rows, of: roles, layer: layer)
    }

    func experts(
        _ operand: MatrixOperand, index: Int, tokens used: [Int], of roles: [ProductRole]
    ) throws(CheckpointError) {
        guard let observer else { return }
        let rows = ObservedRows(
            values: operand.values, columns: operand.columns, tokens: used.map { tokens.lowerBound + $0 })
        try observer.experts(rows, expert: index, of: roles, layer: layer)
    }
}
