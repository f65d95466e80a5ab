internal import Checkpoints
internal import Formats

extension WeightChanges {
    /// Gives the base the size of vocabulary that an adapter was trained with. PEFT stores resized embeddings with the
    /// adapter.
    ///
    /// - Throws: when the adapter lacks a resized tensor, when another adapter has another size, when config.json does
    ///   not state the old size, and for GGUF, whose vocabulary is in the file.
    mutating func resize(for number: Int) throws(CheckpointError) {
        let adapter = adapters[number].adapter
        guard let names = EmbeddingNames(base), let embedding = base.tensor(named: names.embedding),
            embedding.shape.count == 2
        else { return }
        let old = embedding.shape[0], own = vocabularyTensors(names, rows: old)
        var stored: [ExactString: Tensor] = [:]
        for whole in adapter.wholes { stored[ExactString(modules.name(of: whole.name))] = whole.values }
        // The output matrix of a tied model is the embedding.
        let resized = (own + [names.output]).first { name in
            guard let values = stored[ExactString(name)], let rows = values.shape.first else { return false }
            return rows != old && rows > 0 && values.shape.dropFirst() == shape(of: name, names).dropFirst()
        }
        guard let resized, let rows = stored[ExactString(resized)]?.shape.first else { return }
        let text = "\(stored[ExactString(resized)]?.shape ?? [])"
        func refusal(_ name: String, _ problem: String, hint: String) -> CheckpointError {
            CheckpointError(
                file: adapter.path, tensor: stored[ExactString(resized)]?.name ?? resized,
                "has the shape \(text), and \(name) of \(base.path) has \(shape(of: name, names))\(problem)", hint: hint
            )
        }
        if let other = resizing {
            throw refusal(
                resized, " after \(adapters[other].adapter.path)", hint: "the adapters are for different vocabularies")
        }
        guard base.form != .gguf else {
            throw refusal(
                resized, ", whose vocabulary lies in the file",
                hint: "merge the adapter into the folder of its base, and convert the result")
        }
        for name in own {
            let shape = shape(of: name, names)
            guard let values = stored[ExactString(name)] else {
                throw refusal(
                    name, "; the adapter does not hold the rows of the new tokens for it",
                    hint: "save the base with its resized vocabulary after the training, and merge into that")
            }
            guard values.shape == [rows] + shape.dropFirst() else {
                throw CheckpointError(
                    file: adapter.path, tensor: values.name,
                    "has the shape \(values.shape), and \(resized) of the adapter has \(text): the vocabulary has one size"
                )
            }
            guard changes[ExactString(name)] == nil else {
                throw refusal(name, ", which another adapter changes", hint: "merge the adapters one after the other")
            }
            try requireWeightOne(number, values)
        }
        for name in own { try replaceInBase(name, by: stored[ExactString(name)]) }
        base.config = try base.config.map { (config) throws(CheckpointError) in
            try Self.config(config, vocabulary: old, becomes: rows, path: base.path)
        }
        base.note(
            "the vocabulary has \(rows.grouped) tokens rather than \(old.grouped), as in the training of \(adapter.path)"
        )
        modules = modules.updated(base)
        resizing = number
    }

    /// Replaces a tensor of the base by one of an adapter, in f32.
    mutating func replaceInBase(_ name: String, by values: Tensor?) throws(CheckpointError) {
        guard let values, let index = modules.index(of: name) else { return }
        var tensor = values
        tensor.name = name
        base.tensors[index] = try tensor.recoded(as: .f32, file: base.path)
        replacesInBase = true
    }

    /// The names of the tensors of the base with a row for each token.
    private func vocabularyTensors(_ names: EmbeddingNames, rows: Int) -> [String] {
        let bias = names.output.hasSuffix(".weight") ? names.output.dropLast(".weight".count) + ".bias" : ""
        let kinds = ModuleKinds.known.embeddings + ModuleKinds.known.outputs
        return base.tensors.filter { tensor in
            guard tensor.shape.first == rows else { return false }
            let isKnown = [names.embedding, names.output, bias].contains { ExactString($0) == ExactString(tensor.name) }
            return isKnown || ModuleKinds.isNamed(ModuleTree.module(of: tensor.name), kinds)
        }.map(\.name)
    }

    /// The shape of a tensor of the base; for an output matrix that is not stored, that of the embedding.
    private func shape(of name: String, _ names: EmbeddingNames) -> [Int] {
        base.tensor(named: name)?.shape ?? base.tensor(named: names.embedding)?.shape ?? []
    }

    /// config.json with another vocabulary size.
    private static func config(
        _ config: JSONObject, vocabulary old: Int, becomes new: Int, path: String
    ) throws(CheckpointError) -> JSONObject {
        let key = "vocab_size"
        var result = config, isFound = config[key]?.int == old
        if isFound { result[key] = .int(new) }
        for (name, value) in config.members where name.hasSuffix("_config") {
            guard var inner = value.object, inner[key]?.int == old else { continue }
            inner[key] = .int(new)
            result[name] = .object(inner)
            isFound = true
        }
        guard isFound else {
            throw CheckpointError(
                file: path,
                "has no 'vocab_size' of \(old.grouped) in its config.json, and the vocabulary of the adapter has "
                    + "\(new.grouped) tokens")
        }
        return result
    }
}
