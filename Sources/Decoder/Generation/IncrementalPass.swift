package import Checkpoints
internal import Kernels
internal import Parallel
internal import Weights

/// A forward pass that continues sequences a few tokens at a time: keys and values of earlier tokens are kept.
///
/// All sequences have the same number of tokens. A single token of a single sequence multiplies the weights a row at a time,
/// several tokens a panel at a time, so that the weights are read once for all of them.
package final class IncrementalPass {
    /// The model.
    package let model: DecoderModel
    /// How many sequences there are.
    package let sequences: Int
    /// How many tokens each sequence has.
    package var count: Int { cache.count }
    private let usesBF16: Bool
    private let threads: Int
    private let cache: KeyValueCache
    private let maker: LogitMaker
    private let logitMemory: Scratch
    private var lastMemory: Memory?
    /// The tokens of each sequence, for angles that change with the length of the text.
    private var history: [[Int32]]

    /// Tokens of all sequences that are run together.
    private static let rowsAtOnce = 256

    /// A pass without tokens.
    package init(_ model: DecoderModel, sequences: Int = 1, precision: ForwardPass.Precision = .f32, threads: Int) {
        precondition(1...IncrementalPass.rowsAtOnce ~= sequences, "\(sequences) sequences")
        self.model = model
        self.sequences = sequences
        self.threads = max(1, threads)
        usesBF16 = precision == .bf16 && MatrixOperand.supportsBF16
        cache = KeyValueCache(model, sequences: sequences, threads: self.threads)
        history = Array(repeating: [], count: sequences)
        maker = LogitMaker(model, threads: self.threads)
        logitMemory = Scratch(floats: sequences * model.vocabularyCount)
    }

    /// Appends tokens to the sequences, the same number to each.
    ///
    /// - Parameter room: how many tokens a sequence will have in the end, so that memory need not grow.
    /// - Throws: when a token has no embedding, or the model computes NaN or infinity.
    package func append(_ tokens: [[Int32]], room: Int = 0) throws(CheckpointError) {
        precondition(tokens.count == sequences, "tokens of \(tokens.count) sequences")
        var (tokens, total) = (tokens, tokens.first?.count ?? 0)
        precondition(tokens.allSatisfy { $0.count == total } && total > 0, "sequences of different lengths")
        let length = count + total
        for index in tokens.indices { history[index] += tokens[index] }
        if count > 0, model.rotary.restarts(from: count, to: length) {
            cache.clear()
            (tokens, total) = (history, length)
        }
        cache.reserve(max(length, room), contextLength: length)
        let step = max(1, IncrementalPass.rowsAtOnce / sequences)
        for start in stride(from: 0, to: total, by: step) {
            let part = start..<min(start + step, total)
            try run(tokens.map { Array($0[part]) }, isLast: part.upperBound == total)
        }
    }

    /// The logits after the last token of a sequence, [vocabulary]. Valid until the next `append`.
    ///
    /// - Precondition: there are tokens.
    package func logits(of sequence: Int = 0) -> UnsafeBufferPointer<Float> {
        precondition(count > 0 && 0..<sequences ~= sequence)
        return UnsafeBufferPointer(
            start: logitMemory.floats + sequence * model.vocabularyCount, count: model.vocabularyCount)
    }

    private func run(_ tokens: [[Int32]], isLast: Bool) throws(CheckpointError) {
        let rows = tokens[0].count
        let memory = memory(rows: rows)
        try model.embed(tokens, from: cache.count, into: memory.states.floats)
        var buffers = memory.buffers
        for (index, layer) in model.layers.enumerated() {
            buffers.past = cache.past(in: index)
            try memory.batch.run(
                layer, states: memory.states.floats, contexts: sequences, buffers,
                LayerObservation(observer: nil, layer: index, tokens: 0..<0))
            try check(memory.states, rows: rows, behind: index)
        }
        cache.advance(by: rows)
        if isLast { try makeLogits(memory.states, (1...sequences).map { $0 * rows - 1 }) }
    }

    /// Stops at the first layer that leaves NaN or infinity in the stream.
    private func check(_ states: Scratch, rows: Int, behind layer: Int) throws(CheckpointError) {
        let width = model.plan.hidden
        let largest = Float.greatestFiniteMagnitude
        let index = Codec.firstBeyond(largest, in: states.floats, count: sequences * rows * width)
        guard let row = index.map({ $0 / width }) else { return }
        let sequence = sequences > 1 ? " of sequence \(row / rows)" : ""
        throw CheckpointError(
            file: model.checkpoint.path,
            "layer \(layer) computes NaN or infinity, first for token \(cache.count + row % rows)\(sequence)",
            hint: "a weight is NaN or infinite, or the values leave the range of f32")
    }

    /// The buffers for `rows` tokens of each sequence, kept for the next call with as many.
    private func memory(rows: Int) -> Memory {
        if let memory = lastMemory, memory.rows == rows { return memory }
        let batch = LayerBatch(
            model, contextLength: rows, contextCount: sequences, threads: threads)
        var buffers = LayerBuffers(
            model.shape, contexts: sequences, contextLength: rows, usesBF16: usesBF16, threads: threads)
        buffers.usesDotProducts = true
        let states = Scratch(floats: sequences * rows * model.plan.hidden)
        let memory = Memory(rows: rows, batch: batch, buffers: buffers, states: states)
        lastMemory = memory
        return memory
    }

    private struct Memory {
        let rows: Int
        let batch: LayerBatch
        let buffers: LayerBuffers
        let states: Scratch
    }

    private func makeLogits(_ states: Scratch, _ indices: [Int]) throws(CheckpointError) {
        let product = try maker.product(states.floats, of: indices, usesDotProducts: true)
        let (vocabulary, width, logits) = (model.vocabularyCount, LogitMaker.tile, logitMemory)
        let maker = maker
        try Parallel.forEach((vocabulary + width - 1) / width, workers: threads) {
            (tile, worker) throws(CheckpointError) in
            let outputs = tile * width..<min((tile + 1) * width, vocabulary)
            try product.write(
                outputs, into: logits.floats + outputs.lowerBound, stride: vocabulary,
                panel: maker.buffers.panels[worker])
        }
        let largest = Float.greatestFiniteMagnitude
        guard Codec.firstBeyond(largest, in: logits.floats, count: sequences * vocabulary) == nil else {
            throw CheckpointError(
                file: model.checkpoint.path, "the logits behind token \(count - 1) are NaN or infinite",
                hint: "a weight is NaN or infinite, or the values leave the range of f32")
        }
    }
}
