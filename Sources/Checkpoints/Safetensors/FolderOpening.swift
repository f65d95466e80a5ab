internal import Formats

/// Opening of an HF folder: config.json, one or several safetensors files, and what travels with them.
enum HuggingFaceFolder {
    static let indexName = "model.safetensors.index.json"
    /// A companion is read into memory: tokenizers reach 20 MB or so, weights are far above.
    static let maximumCompanionBytes = 64 << 20
    static let companionEndings = [".json", ".txt", ".model", ".jinja", ".md", ".tiktoken", ".py"]
    static let companionNames = ["LICENSE", "NOTICE", "USE_POLICY"]

    /// Opens a folder on the disk.
    static func open(_ path: String) throws(CheckpointError) -> Checkpoint {
        try open(DiskFolder(path: path))
    }

    /// Opens a folder, wherever its files lie.
    static func open(_ folder: any FileFolder) throws(CheckpointError) -> Checkpoint {
        let path = folder.path
        let names = try folder.names()
        var checkpoint = Checkpoint(
            path: path, form: .folder, tensors: [], config: nil, metadata: GGUFMetadata(),
            headerMetadata: nil, companions: [], architecture: nil, sources: [])
        var places: [ExactString: String] = [:]
        let shards = try shards(in: folder, names: names)
        for shard in shards {
            let file = try folder.image(shard)
            checkpoint.isPyTorch = PyTorchFolder.holds(shard)
            let contents = try checkpoint.isPyTorch ? PyTorchFolder.read(file) : Safetensors.read(file)
            for tensor in contents.tensors
            where places.updateValue(shard, forKey: ExactString(tensor.name)) != nil {
                throw CheckpointError(
                    file: path, tensor: tensor.name, "is in two of the folder's files")
            }
            checkpoint.tensors += contents.tensors
            if shards.count > 1 { checkpoint.shardTensorCounts.append(contents.tensors.count) }
            checkpoint.headerMetadata = checkpoint.headerMetadata ?? contents.metadata
            checkpoint.sources.append(file.mappedFile)
        }
        if let index = index(in: names) { try checkIndex(folder, index, places) }
        // An index describes files that an output does not have.
        for name in names where !name.hasSuffix(".index.json") {
            let travels =
                companionEndings.contains(where: name.hasSuffix) || companionNames.contains(name)
            // A configuration that cannot be read is an error, and not a folder without one.
            guard travels, name == "config.json" || folder.isFile(name) else { continue }
            let contents = try folder.contents(of: name, limit: maximumCompanionBytes)
            if name == "config.json" {
                checkpoint.config = try FileSystem.json(contents, path: path + "/" + name)
            } else {
                checkpoint.companions.append(.init(name: name, contents: contents))
            }
        }
        checkpoint.dropTiedTensors()
        let classes = checkpoint.config?["architectures"]?.array?.compactMap(\.string) ?? []
        checkpoint.architecture = classes.lazy.compactMap(Architecture.named(class:)).first
        return checkpoint
    }

    /// The names of the weight files: those of the index, or the only one there is.
    private static func shards(
        in folder: any FileFolder, names: [String]
    ) throws(CheckpointError) -> [String] {
        let path = folder.path
        if let index = index(in: names) {
            let found = try weightMap(folder, index).members.map { $0.1.string ?? "" }
            return Array(Set(found)).sorted()
        }
        let files = names.filter { $0.hasSuffix(".safetensors") }
        if files.contains("model.safetensors") { return ["model.safetensors"] }
        if files.count == 1 { return files }
        if files.isEmpty { return try PyTorchFolder.shards(in: path, names: names) }
        throw CheckpointError(
            file: path,
            "the folder holds \(files.count) safetensors files and no \(indexName)",
            hint: "name one of the files, or add the index")
    }

    /// The index to go by, if any: that of the safetensors files comes first.
    private static func index(in names: [String]) -> String? {
        names.contains(indexName) ? indexName : PyTorchFolder.index(in: names)
    }

    /// The index's map from tensors to files; the names of files may not leave the folder.
    private static func weightMap(
        _ folder: any FileFolder, _ indexName: String
    ) throws(CheckpointError) -> JSONObject {
        let indexPath = folder.path + "/" + indexName
        let contents = try folder.contents(of: indexName, limit: Safetensors.maximumHeaderBytes)
        let index = try FileSystem.json(contents, path: indexPath)
        guard let map = index["weight_map"]?.object, map.count > 0 else {
            throw CheckpointError(file: indexPath, "has no weight_map")
        }
        for (tensor, file) in map.members {
            guard let name = file.string, !name.isEmpty, name != ".", name != "..",
                !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "/"))
            else {
                throw CheckpointError(
                    file: indexPath, tensor: tensor, "is said to be in a file outside the folder")
            }
        }
        return map
    }

    /// Every tensor of the index must be in the file that the index names.
    private static func checkIndex(
        _ folder: any FileFolder, _ indexName: String, _ places: [ExactString: String]
    ) throws(CheckpointError) {
        for (tensor, file) in try weightMap(folder, indexName).members
        where places[ExactString(tensor)] != file.string {
            throw CheckpointError(
                file: folder.path + "/" + indexName, tensor: tensor,
                "is not in \(file.string ?? "") as the index says",
                hint: "a shard is missing or was replaced; fetch the folder again")
        }
    }
}
