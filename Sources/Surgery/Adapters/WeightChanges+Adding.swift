internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

extension WeightChanges {
    /// Adds the change that the matrices of a module make.
    mutating func add(_ pair: Adapter.Pair, _ number: Int) throws(CheckpointError) {
        let adapter = adapters[number].adapter
        if let parameter = try ExpertStack(pair, adapter, modules, base) {
            for (name, product) in try parameter.products(number) {
                changes[ExactString(name), default: Change()].products.append(product)
            }
            return
        }
        var name = modules.name(of: pair.module)
        // In folders, a stack of experts is a parameter without `.weight`.
        if pair.a.shape.count < 3 || modules.index(of: name) == nil { name += ".weight" }
        let weight = try weight(name, of: pair.a, pair.module, in: adapter)
        if pair.a.shape.count == 3 { return try addExperts(pair, weight, number) }
        let outputs = pair.b.shape[0], inputs = pair.a.shape[1]
        let isPlain = !pair.isEmbedding && weight.shape == [outputs, inputs]
        let isTurned = weight.shape == [inputs, outputs]
        guard isPlain || isTurned else {
            throw CheckpointError(
                file: adapter.path, tensor: pair.a.name,
                "is for a weight of \(pair.isEmbedding ? [inputs, outputs] : [outputs, inputs]), and \(name) of "
                    + "\(base.path) is \(weight.shape)", hint: "the adapter is for another model")
        }
        // The shape of a square weight does not show its order, so that of the other weights decides.
        let leftIsA = isPlain && isTurned ? modules.areInputsFirst : !isPlain
        let a = ThinMatrix.Term(tensor: pair.a, ranksAreRows: true)
        let b = ThinMatrix.Term(tensor: pair.b, ranksAreRows: false)
        let rank = pair.a.shape[0], scale = pair.scale
        if let magnitude = pair.magnitude, magnitude.count != outputs {
            throw CheckpointError(
                file: adapter.path, tensor: magnitude.name,
                "has \(magnitude.count.grouped) norms for \(outputs.grouped) outputs")
        }
        if let magnitude = pair.magnitude { try requireWeightOne(number, magnitude) }
        let product = Product(
            adapter: number, module: pair.module, left: leftIsA ? a : b, right: leftIsA ? b : a, leftIsA: leftIsA,
            rank: rank, scale: scale, scalesB: pair.scalesB, magnitude: pair.magnitude, normsAreOfColumns: leftIsA)
        changes[ExactString(name), default: Change()].products.append(product)
        if let bias = pair.bias { try add(bias, of: pair, number, scale) }
    }

    /// Adds the changes of all experts of a stack.
    private mutating func addExperts(
        _ pair: Adapter.Pair, _ weight: Tensor, _ number: Int
    ) throws(CheckpointError) {
        let (experts, rank, outputs, inputs) = (pair.a.shape[0], pair.a.shape[1], pair.b.shape[1], pair.a.shape[2])
        let isPlain = weight.shape == [experts, outputs, inputs]
        let isTurned =
            weight.shape == [experts, inputs, outputs] && !weight.name.hasSuffix(".weight")
            && (!isPlain || modules.areExpertsInputsFirst)
        guard isPlain || isTurned else {
            throw CheckpointError(
                file: adapters[number].adapter.path, tensor: pair.a.name,
                "is for a weight of \([experts, outputs, inputs]), and \(weight.name) of \(base.path) is "
                    + "\(weight.shape)", hint: "the adapter is for another model")
        }
        let modules = Array(repeating: pair.module, count: experts)
        for (expert, own) in try pair.matrices(modules, path: adapters[number].adapter.path).enumerated() {
            let a = ThinMatrix.Term(tensor: own.a, ranksAreRows: true)
            let b = ThinMatrix.Term(tensor: own.b, ranksAreRows: false)
            changes[ExactString(weight.name), default: Change()].products.append(
                Product(
                    adapter: number, module: pair.module, left: isTurned ? a : b, right: isTurned ? b : a,
                    leftIsA: isTurned, rank: rank, scale: pair.scale, scalesB: pair.scalesB, matrix: expert))
        }
    }

    /// Adds the bias of a module's second matrix to the module's bias.
    private mutating func add(
        _ bias: Tensor, of pair: Adapter.Pair, _ number: Int, _ scale: Float
    ) throws(CheckpointError) {
        let adapter = adapters[number].adapter, name = modules.name(of: pair.module) + ".bias"
        let own = try weight(name, of: bias, pair.module + ".bias", in: adapter)
        guard own.count == bias.count, own.shape.count == 1 else {
            throw CheckpointError(
                file: adapter.path, tensor: bias.name, "has \(bias.count) values, and \(name) has \(own.count)")
        }
        let factor = adapters[number].weight == 1 ? scale : Float(adapters[number].weight) * scale
        changes[ExactString(name), default: Change()].added.append((bias, factor))
    }

    /// Replaces a tensor by one that was trained as a whole.
    mutating func replace(_ whole: Adapter.Whole, _ number: Int) throws(CheckpointError) {
        let adapter = adapters[number].adapter, name = modules.name(of: whole.name)
        let own = try weight(name, of: whole.values, whole.name, in: adapter)
        guard own.shape == whole.values.shape else {
            let isResized = own.shape.count == 2 && own.shape.dropFirst() == whole.values.shape.dropFirst()
            throw CheckpointError(
                file: adapter.path, tensor: whole.values.name,
                "has the shape \(whole.values.shape), and that of \(base.path) has \(own.shape)",
                hint: isResized
                    ? "resize the vocabulary of the base first, as it was for the training"
                    : "the adapter is for another model")
        }
        if whole.isWrapped, try own.holds(whole.values) { return }
        try requireWeightOne(number, whole.values)
        guard changes[ExactString(name)]?.replacement == nil else {
            throw CheckpointError(
                file: adapter.path, tensor: whole.values.name, "replaces a tensor that another adapter replaces too")
        }
        changes[ExactString(name), default: Change()].replacement = whole.values
    }

    /// Replaces rows of an embedding by trained ones.
    mutating func replaceRows(of module: String, _ values: Tensor, _ adapter: Adapter) throws(CheckpointError) {
        let name = modules.name(of: module) + ".weight"
        let own = try weight(name, of: values, module, in: adapter)
        let stated = adapter.config.trainableTokens.first {
            $0.module.isEmpty || ModuleSelection.isNamed(module, in: [$0.module])
        }
        guard let stated else {
            let names = adapter.config.trainableTokens.map(\.module).joined(separator: ", ")
            throw CheckpointError(
                file: adapter.path, tensor: values.name,
                "holds rows of \(module), and 'trainable_token_indices' names \(names.isEmpty ? "nothing" : names)")
        }
        guard values.shape == [stated.rows.count, own.rowLength], own.shape.count == 2 else {
            throw CheckpointError(
                file: adapter.path, tensor: values.name,
                "has the shape \(values.shape) for \(stated.rows.count) rows of \(name), \(own.shape)")
        }
        var rows: [Int: Int] = [:]
        for (index, row) in stated.rows.enumerated() {
            guard row < own.shape[0] else {
                throw CheckpointError(
                    file: adapter.config.path,
                    "'trainable_token_indices' names row \(row.grouped) of \(own.shape[0].grouped) in \(name)")
            }
            guard rows.updateValue(index, forKey: row) == nil else {
                throw CheckpointError(
                    file: adapter.config.path, "'trainable_token_indices' names row \(row.grouped) twice")
            }
        }
        guard changes[ExactString(name)]?.rows == nil else {
            throw CheckpointError(file: adapter.path, tensor: values.name, "has rows that another adapter has too")
        }
        changes[ExactString(name), default: Change()].rows = (values, rows)
    }
}
