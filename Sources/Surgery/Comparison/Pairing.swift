internal import Checkpoints
internal import Formats
internal import Parallel
internal import Synchronization

/// The tensors of two lists, paired by name.
struct Pairing: Sendable {
    /// Tensors that both have, in the order of the first.
    private(set) var pairs: [TensorPair] = []
    /// Tensors that only the first has.
    private(set) var onlyA: [Tensor] = []
    /// Tensors that only the second has.
    private(set) var onlyB: [Tensor] = []

    /// Pairs two lists, each without duplicate names.
    init(_ a: [Tensor], _ b: [Tensor]) {
        let others = Dictionary(b.map { (ExactString($0.name), $0) }, uniquingKeysWith: { first, _ in first })
        for tensor in a {
            if let other = others[ExactString(tensor.name)] {
                pairs.append(TensorPair(a: tensor, b: other))
            } else {
                onlyA.append(tensor)
            }
        }
        let names = Set(a.map { ExactString($0.name) })
        onlyB = b.filter { !names.contains(ExactString($0.name)) }
    }

    /// Whether each pair is equal, in order.
    func sameness(
        threads: Int, progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?
    ) throws(CheckpointError) -> [TensorPair.Sameness] {
        let total = pairs.reduce(0) { $0 + $1.a.byteCount }
        let done = Atomic<Int>(0)
        return try TensorPair.each(pairs, threads: threads) { (pair) throws(CheckpointError) in
            let result = try pair.sameness()
            let sum = done.wrappingAdd(pair.a.byteCount, ordering: .relaxed).newValue
            progress?(sum, total)
            return result
        }
    }
}

extension TensorPair {
    /// The results of `body` for each pair, in order. The largest pairs start first, so that threads finish together.
    static func each<Result: Sendable>(
        _ pairs: [TensorPair], threads: Int, _ body: @Sendable (TensorPair) throws(CheckpointError) -> Result
    ) throws(CheckpointError) -> [Result] {
        let order = pairs.indices.sorted { (pairs[$1].a.byteCount, $0) < (pairs[$0].a.byteCount, $1) }
        return try Parallel.map(order: order, workers: threads) { (index, _) throws(CheckpointError) in
            try body(pairs[index])
        }
    }
}
