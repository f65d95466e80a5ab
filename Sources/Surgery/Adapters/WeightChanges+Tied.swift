internal import Checkpoints
internal import Formats
internal import Weights

/// Changes of an embedding that is the output matrix too.
extension WeightChanges {
    /// Whether a name is that of the output matrix of a model that stores none.
    private func isTiedOutput(_ name: String) -> Bool {
        guard let tied else { return false }
        let name = modules.name(of: name)
        return name == tied.output || name + ".weight" == tied.output
    }

    /// Unties the output matrix from the embedding when an adapter changes the two in different ways.
    mutating func untie(for adapter: Adapter) throws(CheckpointError) {
        guard let tied else { return }
        let tying = adapter.config.tying
        let changed = adapter.pairs.map(\.module) + adapter.wholes.map(\.name)
        let named = changed.map { modules.name(of: $0) }.map { $0.hasSuffix(".weight") ? $0 : $0 + ".weight" }
        let rows = Dictionary(
            adapter.config.trainableTokens.map { ($0.module, $0.rows) }, uniquingKeysWith: { first, _ in first })
        let outputModule = String(tied.output.dropLast(".weight".count))
        let output = rows.first { !$0.key.isEmpty && ModuleSelection.isNamed(outputModule, in: [$0.key]) }
        let others = rows.filter { $0.key != output?.key }.map(\.value)
        let rowsDiffer = !tying.rows && output.map { !others.contains($0.value) } ?? false
        let changesOne = !tying.weights && (named.contains(tied.embedding) || named.contains(tied.output))
        let holdsBoth = try holdsBoth(tied, adapter)
        guard rowsDiffer || changesOne && !holdsBoth else { return }
        if let own = base.tensor(named: tied.embedding), let whole = whole(tied.embedding, of: adapter),
            !whole.isTrained,
            own.shape == whole.values.shape, try !own.holds(whole.values)
        {
            try replaceInBase(tied.embedding, by: whole.values)
        }
        tied.untie(&base)
        modules = modules.updated(base)
        self.tied = nil
    }

    /// The tensor of an adapter that replaces one of the base.
    private func whole(_ name: String, of adapter: Adapter) -> Adapter.Whole? {
        adapter.wholes.first { ExactString(modules.name(of: $0.name)) == ExactString(name) }
    }

    /// Whether an adapter stores the same new values for both, so that they can stay tied: PEFT does so when the
    /// vocabulary of a tied model was resized.
    private func holdsBoth(_ tied: TiedOutput, _ adapter: Adapter) throws(CheckpointError) -> Bool {
        let isAdapted = adapter.pairs.contains {
            [tied.embedding, tied.output].contains(modules.name(of: $0.module) + ".weight")
        }
        guard !isAdapted, let embedding = whole(tied.embedding, of: adapter) else { return false }
        guard let output = whole(tied.output, of: adapter) else { return !embedding.isTrained }
        guard embedding.values.shape == output.values.shape else { return false }
        return try embedding.values.holds(output.values)
    }

    /// Whether a pair repeats the embedding's for the output matrix, which stays tied to the embedding.
    func isCopyOfTied(_ pair: Adapter.Pair, _ adapter: Adapter) throws(CheckpointError) -> Bool {
        guard isTiedOutput(pair.module) else { return false }
        let embedding = adapter.pairs.first {
            $0.isEmbedding && modules.name(of: $0.module) + ".weight" == tied?.embedding
        }
        guard let embedding, try embedding.a.isTransposed(of: pair.b), try embedding.b.isTransposed(of: pair.a) else {
            throw differentCopy(pair.a, adapter)
        }
        return true
    }

    /// Whether a tensor repeats the embedding for the output matrix, which stays tied to the embedding.
    func isCopyOfTied(_ whole: Adapter.Whole, _ adapter: Adapter) throws(CheckpointError) -> Bool {
        guard let tied, isTiedOutput(whole.name) else { return false }
        guard let embedding = self.whole(tied.embedding, of: adapter)?.values ?? base.tensor(named: tied.embedding),
            embedding.shape == whole.values.shape, try embedding.holds(whole.values)
        else { throw differentCopy(whole.values, adapter) }
        return true
    }

    /// Whether rows repeat those of the embedding for the output matrix, which stays tied to the embedding.
    func isCopyOfTied(_ module: String, _ values: Tensor, _ adapter: Adapter) throws(CheckpointError) -> Bool {
        guard let tied, isTiedOutput(module) else { return false }
        let embedding = adapter.tokens.first { modules.name(of: $0.module) + ".weight" == tied.embedding }?.values
        guard let embedding, embedding.shape == values.shape, try embedding.holds(values) else {
            throw differentCopy(values, adapter)
        }
        return true
    }

    private func differentCopy(_ tensor: Tensor, _ adapter: Adapter) -> CheckpointError {
        CheckpointError(
            file: adapter.path, tensor: tensor.name,
            "is not what the adapter has for the embedding, to which the output matrix of \(base.path) is tied")
    }
}

extension Tensor {
    /// Whether it is the transpose of another matrix.
    fileprivate func isTransposed(of other: Tensor) throws(CheckpointError) -> Bool {
        guard shape.count == 2, other.shape == shape.reversed() else { return false }
        let (own, others) = (try floats(), try other.floats())
        for row in 0..<shape[0] {
            for column in 0..<shape[1] where own[row * shape[1] + column] != others[column * shape[0] + row] {
                return false
            }
        }
        return true
    }
}
