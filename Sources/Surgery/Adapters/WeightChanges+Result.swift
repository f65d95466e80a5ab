internal import Checkpoints
internal import Formats

extension WeightChanges {
    /// The base with all changes; changed tensors are in f32.
    ///
    /// - Parameter threads: how many threads read weights whose columns have trained norms.
    func result(
        _ combination: MergeAdapters.Combination, threads: Int
    ) throws(CheckpointError) -> Checkpoint {
        var result = base
        for index in base.tensors.indices {
            guard let change = changes[ExactString(base.tensors[index].name)] else { continue }
            result.tensors[index] = try changed(base.tensors[index], by: change, combination, threads)
        }
        return result
    }

    private func changed(
        _ base: Tensor, by change: Change, _ combination: MergeAdapters.Combination, _ threads: Int
    ) throws(CheckpointError) -> Tensor {
        func computed(_ source: any RowSource) -> Tensor {
            Tensor(name: base.name, dtype: .f32, shape: base.shape, recipe: .computed(source))
        }
        var tensor = base
        if let replacement = change.replacement {
            tensor = replacement
            tensor.name = base.name
            tensor = try tensor.recoded(as: .f32, file: self.base.path)
        }
        let plain = change.products.filter { $0.magnitude == nil }
        if !plain.isEmpty { tensor = computed(try merged(tensor, plain, combination)) }
        for product in change.products {
            guard let magnitude = product.magnitude else { continue }
            guard change.products.count == 1 else {
                throw CheckpointError(
                    file: adapters[product.adapter].adapter.path, tensor: magnitude.name,
                    "is a trained norm (DoRA) for \(base.name), which another adapter changes too",
                    hint: "merge the adapters one after the other")
            }
            let merged = computed(try merged(tensor, [product], combination))
            let factors =
                try product.normsAreOfColumns
                ? DoRARows.columnFactors(of: merged, magnitude: magnitude, threads: threads) : nil
            tensor = computed(DoRARows(merged: merged, magnitude: magnitude, factors: factors))
        }
        if !change.added.isEmpty { tensor = computed(AddedRows(base: tensor, added: change.added)) }
        if let rows = change.rows {
            tensor = computed(ReplacedRows(base: tensor, values: rows.values, rows: rows.rows))
        }
        return tensor
    }

    /// A weight with products added; each product for a stack is added to its matrix.
    private func merged(
        _ base: Tensor, _ products: [Product], _ combination: MergeAdapters.Combination
    ) throws(CheckpointError) -> MergedRows {
        let count = base.shape.count > 2 ? base.shape.dropLast(2).reduce(1, *) : 1  // fits: a part of the elements
        let own = Dictionary(grouping: products, by: \.matrix)
        let deltas = try (0..<count).map { (matrix) throws(CheckpointError) in
            try own[matrix].map { (products) throws(CheckpointError) in try delta(of: products, combination) }
        }
        var modules: [(name: String, scale: Float)] = []
        for product in products where product.matrix == products[0].matrix {
            modules.append((product.module, product.scale * Float(adapters[product.adapter].weight)))
        }
        return MergedRows(base: base, deltas: deltas, modules: modules)
    }

    /// The sum of products for one matrix.
    private func delta(
        of products: [Product], _ combination: MergeAdapters.Combination
    ) throws(CheckpointError) -> LowRankDelta {
        if products.count == 1, let product = products.first, adapters[product.adapter].weight == 1 {
            let ofB = product.scalesB ? [product.scale] : []
            let left = ThinMatrix([product.left.times(product.leftIsA ? [] : ofB)], rank: product.rank)
            let right = ThinMatrix([product.right.times(product.leftIsA ? ofB : [])], rank: product.rank)
            return LowRankDelta(
                parts: [.init(left: left, right: right)], scale: product.scalesB ? 1 : product.scale)
        }
        if combination == .linear { return try sum(of: products) }
        let parts = products.map { product in
            let factors = [Float(adapters[product.adapter].weight), product.scale]
            return LowRankDelta.Part(
                left: ThinMatrix([product.left.times(product.leftIsA ? factors : [])], rank: product.rank),
                right: ThinMatrix([product.right.times(product.leftIsA ? [] : factors)], rank: product.rank))
        }
        return LowRankDelta(parts: parts, scale: 1)
    }

    /// The product of the sums of A and of B, each matrix multiplied by the root of its weight; A has the sign.
    private func sum(of products: [Product]) throws(CheckpointError) -> LowRankDelta {
        let rank = products[0].rank
        for product in products where product.rank != rank {
            throw CheckpointError(
                file: adapters[product.adapter].adapter.path, tensor: product.left.tensor.name,
                "has rank \(product.rank), and that of the first adapter has rank \(rank); linear adds matrices up",
                hint: "--combination cat takes any ranks")
        }
        var left: [ThinMatrix.Term] = [], right: [ThinMatrix.Term] = []
        for product in products {
            let weight = adapters[product.adapter].weight * Double(product.scale)
            let root = weight.magnitude.squareRoot(), signed = weight < 0 ? -root : root
            left.append(product.left.times([Float(product.leftIsA ? signed : root)]))
            right.append(product.right.times([Float(product.leftIsA ? root : signed)]))
        }
        let part = LowRankDelta.Part(left: ThinMatrix(left, rank: rank), right: ThinMatrix(right, rank: rank))
        return LowRankDelta(parts: [part], scale: 1)
    }
}

extension ThinMatrix.Term {
    /// The matrix with additional factors for its values.
    func times(_ factors: [Float]) -> ThinMatrix.Term {
        var result = self
        result.factors += factors
        return result
    }
}
