package import Formats

/// Opening of an HF folder: config.json, one or several files of weights, and what travels with them.
enum HuggingFaceFolder {
    static let indexName = "model.safetensors.index.json"

    /// Opens a folder on the disk.
    ///
    /// - Parameter index: the index to use; `nil` for the choice of transformers.
    static func open(_ path: String, index: String? = nil) throws(CheckpointError) -> Checkpoint {
        try open(DiskFolder(path: path), index: index)
    }

    /// Opens a folder on disk or in an archive.
    static func open(_ folder: any FileFolder, index: String? = nil) throws(CheckpointError) -> Checkpoint {
        let names = try folder.names()
        let config = try config(of: folder, names: names)
        var checkpoint = Checkpoint(
            path: folder.path, container: .folder(.init(config: config)), tensors: [], sources: [])
        let weights = try WeightFiles(of: folder, names: names, config: config, index: index)
        try checkpoint.read(weights, in: folder)
        let companions = try CompanionFiles(of: folder, names: names, weights: weights.names)
        checkpoint.companions = try companions.read()
        checkpoint.leftOut = companions.leftOut
        checkpoint.content = Checkpoint.Content(weights, checkpoint)
        if checkpoint.content != .model, let name = weights.names.first {
            checkpoint.weightsName = String(name[..<(name.lastIndex(of: ".") ?? name.endIndex)])
        }
        checkpoint.dropTiedTensors()
        checkpoint.architecture = architecture(of: config)?.placed(in: checkpoint.tensors)
        return checkpoint
    }

    /// config.json; one that cannot be read is an error, and not a folder without one.
    private static func config(of folder: any FileFolder, names: [String]) throws(CheckpointError) -> JSONObject? {
        let name = "config.json"
        guard names.contains(name) else { return nil }
        let contents = try folder.contents(of: name, limit: CompanionFiles.maximumByteCount)
        return try FileSystem.json(contents, path: folder.path + "/" + name)
    }

    /// The description for a configuration: that of its class, or of `model_type` where no class is named.
    static func architecture(of config: JSONObject?) -> Architecture? {
        let classes = config?["architectures"]?.array?.compactMap(\.string) ?? []
        if let found = classes.lazy.compactMap(Architecture.named(class:)).first { return found }
        guard classes.isEmpty, let type = config?["model_type"]?.string else { return nil }
        return Architecture.named(modelType: type)
    }
}

extension Architecture {
    /// The description for a folder with these tensors: for every role that folders store in different ways, the way of
    /// this folder.
    package func placed(in tensors: [Tensor]) -> Architecture {
        placed { name in tensors.indices.contains { name.match(tensors[$0].name) != .none } }
    }
}

extension Checkpoint {
    /// Reads the tensors of all files. When two contain a tensor, the index decides.
    fileprivate mutating func read(_ weights: WeightFiles, in folder: any FileFolder) throws(CheckpointError) {
        var places: [ExactString: Int] = [:]
        var parts: [[Tensor]] = []
        var superseded: [(name: String, part: Int)] = []
        for (part, name) in weights.names.enumerated() {
            let file = try folder.image(name)
            isPyTorch = PyTorchFolder.holds(name)
            let contents = try isPyTorch ? PyTorchFolder.read(file) : Safetensors.read(file)
            places.reserveCapacity(places.count + contents.tensors.count)
            for tensor in contents.tensors {
                let key = ExactString(tensor.name)
                guard let other = places.updateValue(part, forKey: key) else { continue }
                let counts = try weights.decide(tensor.name, between: other, and: part, in: folder)
                places[key] = counts
                superseded.append((tensor.name, counts == part ? other : part))
            }
            parts.append(contents.tensors)
            headerMetadata = headerMetadata ?? contents.metadata
            sources.append(file.mappedFile)
        }
        try weights.check(in: folder) { places[ExactString($0)] }
        for (part, names) in Dictionary(grouping: superseded, by: \.part) {
            let names = Set(names.map { ExactString($0.name) })
            parts[part].removeAll { names.contains(ExactString($0.name)) }
        }
        if let first = superseded.first {
            let others = superseded.count > 1 ? " and \(superseded.count - 1) more" : ""
            notes.append("the tensor '\(first.name)'\(others) is in two files; the one that the index names is read")
        }
        tensors = parts.flatMap { $0 }
        if parts.count > 1 { shardTensorCounts = parts.map(\.count) }
    }
}
