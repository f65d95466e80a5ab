internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

/// Runs one decoder layer over as many contexts as fit its memory:
///
///     y = norm(x);  x += attention(rotate(y Wq), rotate(y Wk), y Wv) Wo
///     y = norm(x);  x += (silu(y Wgate) * y Wup) Wdown
struct LayerBatch {
    /// How many contexts are run together.
    let contexts: Int
    private let model: DecoderModel
    private let contextLength: Int
    private let threads: Int
    private let rotary: RotaryTable
    private let attention: Attention
    private let normed, query, key, value, mixed, gate, up: Scratch
    private let packing: Scratch?
    private let panels: [RowPanel]

    /// Activations of about this many bytes are kept for one batch.
    private static let batchByteCount = 48 << 20
    private static let rowsAtOnce = 16

    init(_ model: DecoderModel, contextLength: Int, contextCount: Int, packs: Bool, threads: Int) {
        let numbers = model.configuration
        let wide = numbers.heads * numbers.headSize
        let narrow = numbers.keyValueHeads * numbers.headSize
        let widest = max(numbers.hidden, wide, numbers.ffn)
        let tokenByteCount = 4 * (numbers.hidden + 2 * wide + 2 * narrow + 2 * numbers.ffn) + 2 * widest
        let fit = LayerBatch.batchByteCount / max(1, tokenByteCount * contextLength)
        contexts = max(1, min(contextCount, fit))
        let tokens = contexts * contextLength
        self.model = model
        self.contextLength = contextLength
        self.threads = threads
        rotary = RotaryTable(model.frequencies, positions: contextLength)
        attention = Attention(numbers, contextLength: contextLength, threads: threads)
        normed = Scratch(floats: tokens * numbers.hidden)
        query = Scratch(floats: tokens * wide)
        key = Scratch(floats: tokens * narrow)
        value = Scratch(floats: tokens * narrow)
        mixed = Scratch(floats: tokens * wide)
        gate = Scratch(floats: tokens * numbers.ffn)
        up = Scratch(floats: tokens * numbers.ffn)
        packing = packs ? Scratch(byteCount: tokens * widest * 2) : nil
        panels = (0..<max(1, threads)).map { _ in RowPanel() }
    }

    /// Runs a layer in place.
    ///
    /// - Parameter states: [contexts * contextLength, hidden].
    func run(
        _ layer: DecoderModel.Layer, states: UnsafeMutablePointer<Float>, contexts: Int
    ) throws(CheckpointError) {
        let numbers = model.configuration
        let tokens = contexts * contextLength
        try norm(states, layer.attentionNorm, tokens)
        let attended = operand(normed, tokens, numbers.hidden)
        try multiply(
            attended,
            [
                Product(layer.query, query.floats, bias: layer.queryBias),
                Product(layer.key, key.floats, bias: layer.keyBias),
                Product(layer.value, value.floats, bias: layer.valueBias),
            ])
        rotate(query.floats, heads: numbers.heads, tokens)
        rotate(key.floats, heads: numbers.keyValueHeads, tokens)
        attention.run(
            query: query.floats, key: key.floats, value: value.floats, output: mixed.floats, contexts: contexts)
        try multiply(
            operand(mixed, tokens, numbers.heads * numbers.headSize),
            [Product(layer.attentionOutput, states, bias: layer.attentionOutputBias, accumulates: true)])
        try norm(states, layer.ffnNorm, tokens)
        try multiply(
            operand(normed, tokens, numbers.hidden),
            [
                Product(layer.gate, gate.floats, bias: layer.gateBias),
                Product(layer.up, up.floats, bias: layer.upBias),
            ])
        activate(tokens)
        try multiply(
            operand(gate, tokens, numbers.ffn),
            [Product(layer.down, states, bias: layer.downBias, accumulates: true)])
    }

    private func operand(_ values: Scratch, _ rows: Int, _ columns: Int) -> MatrixOperand {
        MatrixOperand(values.floats, rows: rows, columns: columns, packing: packing, threads: threads)
    }

    private func norm(
        _ states: UnsafeMutablePointer<Float>, _ weight: Tensor, _ tokens: Int
    ) throws(CheckpointError) {
        let weights = try weight.floats()
        let (hidden, epsilon) = (model.configuration.hidden, model.configuration.epsilon)
        nonisolated(unsafe) let states = states
        eachRows(tokens) { token in
            resect_rms_norm(states + token * hidden, weights, normed.floats + token * hidden, hidden, epsilon)
        }
    }

    private func rotate(_ values: UnsafeMutablePointer<Float>, heads: Int, _ tokens: Int) {
        let size = model.configuration.headSize
        let turn = model.configuration.interleaves ? resect_rotate_pairs : resect_rotate_halves
        nonisolated(unsafe) let values = values
        eachRows(tokens) { token in
            let position = token % contextLength
            for head in 0..<heads {
                turn(values + (token * heads + head) * size, rotary.cosine(position), rotary.sine(position), size)
            }
        }
    }

    private func activate(_ tokens: Int) {
        let ffn = model.configuration.ffn
        eachRows(tokens) { token in
            resect_silu_times(gate.floats + token * ffn, up.floats + token * ffn, ffn)
        }
    }

    private func eachRows(_ count: Int, _ body: @Sendable (Int) -> Void) {
        let step = LayerBatch.rowsAtOnce
        Parallel.forEach((count + step - 1) / step, workers: threads) { index, _ in
            for row in index * step..<min(count, (index + 1) * step) { body(row) }
        }
    }

    /// One product with a weight matrix: `output[m][n] = sum over k of operand[m][k] * weight[n][k]`.
    private struct Product: @unchecked Sendable {
        let weight: Tensor
        let output: UnsafeMutablePointer<Float>
        let bias: Tensor?
        let accumulates: Bool

        init(
            _ weight: Tensor, _ output: UnsafeMutablePointer<Float>, bias: Tensor?, accumulates: Bool = false
        ) {
            self.weight = weight
            self.output = output
            self.bias = bias
            self.accumulates = accumulates
        }
    }

    /// Computes products that share their operand, a panel of weight rows at a time.
    private func multiply(_ operand: MatrixOperand, _ products: [Product]) throws(CheckpointError) {
        var units: [(product: Product, rows: Range<Int>)] = []
        for product in products {
            for start in stride(from: 0, to: product.weight.rowCount, by: RowPanel.width) {
                units.append((product, start..<min(start + RowPanel.width, product.weight.rowCount)))
            }
        }
        let work = units
        try Parallel.forEach(work.count, workers: threads) { (index, worker) throws(CheckpointError) in
            let (product, rows) = work[index]
            let weight = product.weight
            try weight.withBytes(rows: rows) { bytes in
                panels[worker].multiply(
                    operand, bytes, rows: rows.count, dtype: weight.dtype,
                    output: product.output + rows.lowerBound, stride: weight.rowCount,
                    accumulates: product.accumulates)
            }
        }
        for product in products {
            guard let bias = product.bias else { continue }
            let (values, count) = (try bias.floats(), bias.count)
            eachRows(operand.rows) { resect_add(product.output + $0 * count, values, count) }
        }
    }
}
