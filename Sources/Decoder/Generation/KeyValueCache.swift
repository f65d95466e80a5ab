internal import Checkpoints
internal import Kernels
internal import Parallel

/// The keys and values of the tokens so far, for all layers and sequences.
///
/// Memory grows with the number of tokens, by doubling.
final class KeyValueCache {
    private let model: DecoderModel
    private let sequences: Int
    private let threads: Int
    private var capacity = 0
    private var layers: [(keys: Scratch, values: Scratch)] = []
    private var scores: [Scratch] = []
    private var tables: RotaryTables
    private var angleKinds: [Int]
    /// How many tokens each sequence has.
    private(set) var count = 0

    /// An empty cache.
    init(_ model: DecoderModel, sequences: Int, threads: Int) {
        self.model = model
        self.sequences = sequences
        self.threads = threads
        tables = model.rotary.tables(positions: 0)
        angleKinds = model.rotary.angleKinds(contextLength: 0)
    }

    /// Makes room for `needed` tokens of each sequence.
    ///
    /// - Parameter contextLength: how many tokens each sequence is about to have, which may decide the rotary angles.
    func reserve(_ needed: Int, contextLength: Int) {
        let old = capacity
        if needed > old { capacity = Attention.padded(max(needed, 2 * old)) }
        let kinds = model.rotary.angleKinds(contextLength: contextLength)
        if capacity > old || kinds != angleKinds {
            tables = model.rotary.tables(positions: capacity, contextLength: contextLength)
            angleKinds = kinds
        }
        guard capacity > old else { return }
        scores = (0..<threads).map { _ in Scratch(floats: Attention.block * capacity) }
        for (index, layer) in model.layers.enumerated() {
            let shape = layer.attention
            let size = sequences * shape.keyWidth * capacity
            let grown = (keys: Scratch(floats: size), values: Scratch(floats: size))
            if index < layers.count {
                for row in 0..<sequences * shape.keyWidth {
                    (grown.keys.floats + row * capacity).update(
                        from: layers[index].keys.floats + row * old, count: count)
                }
                for head in 0..<sequences * shape.keyHeads {
                    (grown.values.floats + head * shape.headSize * capacity).update(
                        from: layers[index].values.floats + head * shape.headSize * old, count: count * shape.headSize)
                }
                layers[index] = grown
            } else {
                layers.append(grown)
            }
        }
    }

    /// Forgets all tokens.
    func clear() { count = 0 }

    /// What attention needs to continue the sequences in a layer.
    func past(in layer: Int) -> PastTokens {
        PastTokens(
            keys: layers[layer].keys, values: layers[layer].values, capacity: capacity, count: count, tables: tables,
            scores: scores, threads: threads)
    }

    /// Counts tokens that all layers have run over.
    func advance(by rows: Int) {
        count += rows
        precondition(count <= capacity, "more tokens than there is room for")
    }
}

/// The keys and values of the tokens so far in one layer.
struct PastTokens: Sendable {
    /// Rotated keys, [sequences, key heads, head size, capacity].
    let keys: Scratch
    /// [sequences, key heads, capacity, head size].
    let values: Scratch
    /// Tokens that there is room for.
    let capacity: Int
    /// Tokens that each sequence has.
    let count: Int
    /// Angles for all positions.
    let tables: RotaryTables
    /// For each thread, room for the scores of a block of queries.
    let scores: [Scratch]
    let threads: Int

    /// Appends the keys and values in the buffers, and writes the attention output for the queries to `buffers.mixed`.
    ///
    /// - Parameter rows: new tokens of each sequence; buffers hold [sequences, rows, columns].
    func attend(_ shape: AttentionShape, _ buffers: LayerBuffers, sequences: Int, rows: Int) {
        let group = shape.heads / shape.keyHeads
        Parallel.forEach(sequences * shape.keyHeads, workers: threads) { index, worker in
            let (sequence, head) = (index / shape.keyHeads, index % shape.keyHeads)
            let memory = add(buffers, shape, sequence: sequence, head: head, rows: rows)
            for member in head * group..<(head + 1) * group {
                let offset = sequence * rows * shape.queryWidth + member * shape.headSize
                Attention.attend(
                    buffers.query.floats + offset, rows: rows, from: count, to: memory, shape,
                    output: buffers.mixed.floats + offset, scores: scores[worker].floats)
            }
        }
    }

    /// Appends the new keys and values of a head, and returns all of its keys and values.
    private func add(
        _ buffers: LayerBuffers, _ shape: AttentionShape, sequence: Int, head: Int, rows: Int
    ) -> Attention.HeadMemory {
        let (size, width) = (shape.headSize, shape.keyWidth)
        let start = (sequence * shape.keyHeads + head) * size * capacity
        let (keys, values) = (keys.floats + start, values.floats + start)
        for row in 0..<rows {
            let source = (sequence * rows + row) * width + head * size
            for element in 0..<size { keys[element * capacity + count + row] = buffers.key.floats[source + element] }
            (values + (count + row) * size).update(from: buffers.value.floats + source, count: size)
        }
        return Attention.HeadMemory(
            transposedKeys: keys, keyStride: capacity, values: values, valueStride: size)
    }
}
