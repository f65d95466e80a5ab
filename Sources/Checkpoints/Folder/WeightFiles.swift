internal import Formats

/// The weight files of a folder: those that transformers reads, else the only candidate.
struct WeightFiles {
    /// The files, in the order of their names.
    let names: [String]
    /// Whether they hold an adapter and not a model.
    let isAdapter: Bool
    private let index: String?
    /// The index's map from tensors to files; empty without an index.
    private let map: JSONObject

    /// The order in which transformers looks for a model.
    private static let standardNames = [
        "model.safetensors", HuggingFaceFolder.indexName, "pytorch_model.bin", PyTorchFolder.indexName,
    ]
    /// The name of the file of a model, without its ending.
    static let modelName = "model"
    /// The names of the files of adapters, without their endings: PEFT's and mlx-lm's.
    private static let adapterNames = ["adapter_model", "adapters"]
    /// Beginnings of the names of files that hold weights of something else, or the state of a training run.
    private static let otherPrefixes = [
        "adapter_model.", "adapters.", "optimizer", "scheduler", "training_args", "trainer_state", "scaler",
        "rng_state",
        "random_states",
        "learned_embeds",
    ]

    /// Finds the files.
    ///
    /// - Parameters:
    ///   - config: config.json, which may name the file.
    ///   - index: the requested index, if any.
    /// - Throws: when no file is the model, or several may be.
    init(
        of folder: any FileFolder, names: [String], config: JSONObject?, index: String?
    ) throws(CheckpointError) {
        let stated = config?["transformers_weights"]?.string
        if let stated, !names.contains(stated) {
            throw CheckpointError(
                file: folder.path + "/config.json", "'transformers_weights' is '\(stated)', which is not in the folder")
        }
        let standard = index ?? stated ?? WeightFiles.standardNames.first(where: names.contains)
        if let standard, WeightFiles.isIndex(standard) {
            map = try WeightFiles.map(folder, standard)
            let files = Set(map.members.map { $0.1.string ?? "" }).sorted()
            try WeightFiles.checkPresence(of: files, names: names, index: standard, in: folder)
            (self.names, self.index, isAdapter) = (files, standard, false)
            return
        }
        (map, self.index) = (JSONObject(), nil)
        if let standard {
            (self.names, isAdapter) = ([standard], false)
            return
        }
        if let only = try WeightFiles.only(in: folder, names: names) {
            (self.names, isAdapter) = ([only], false)
            return
        }
        guard let adapter = names.last(where: WeightFiles.areAdapter) else {
            throw WrongFolder.error(folder, names: names)
        }
        (self.names, isAdapter) = ([adapter], true)
    }

    /// The one file of another name that may be the model; `nil` when there is none.
    private static func only(in folder: any FileFolder, names: [String]) throws(CheckpointError) -> String? {
        let candidates = names.filter { name in
            // mlx-lm keeps adapters of earlier steps: 0000100_adapters.safetensors.
            !otherPrefixes.contains(where: name.hasPrefix) && !name.hasSuffix("_adapters.safetensors")
        }
        for (kind, index, ends) in [
            ("safetensors", HuggingFaceFolder.indexName, { $0.hasSuffix(".safetensors") }),
            ("PyTorch", PyTorchFolder.indexName, PyTorchFolder.holds),
        ] as [(String, String, (String) -> Bool)] {
            let files = candidates.filter(ends)
            if files.count == 1 { return files[0] }
            if files.isEmpty { continue }
            let other = names.first { isIndex($0) }
            throw CheckpointError(
                file: folder.path, "the folder has \(files.count) \(kind) files but no \(index)",
                hint: other.map { "\(folder.path)/\($0) is an index; name it" }
                    ?? "choose one of the files, or add the index")
        }
        return nil
    }

    /// Whether the name of a file is that of weights in a supported container.
    static func areWeights(_ name: String) -> Bool { name.hasSuffix(".safetensors") || PyTorchFolder.holds(name) }

    /// Whether a file holds the weights of an adapter by its name.
    static func areAdapter(_ name: String) -> Bool {
        areWeights(name) && adapterNames.contains { name.hasPrefix($0 + ".") }
    }

    /// Whether a file is an index of others: model.safetensors.index.json, pytorch_model.bin.index.fp16.json.
    static func isIndex(_ name: String) -> Bool {
        name.hasSuffix(".json") && (name.contains(".safetensors.index.") || name.contains(".bin.index."))
    }

    // MARK: an index

    /// The index's map from tensors to files; the names of files may not leave the folder.
    private static func map(_ folder: any FileFolder, _ index: String) throws(CheckpointError) -> JSONObject {
        let path = folder.path + "/" + index
        let contents = try folder.contents(of: index, limit: Safetensors.maximumHeaderBytes)
        guard let map = try FileSystem.json(contents, path: path)["weight_map"]?.object, map.count > 0 else {
            throw CheckpointError(file: path, "has no weight_map")
        }
        for (tensor, file) in map.members {
            guard let name = file.string, !name.isEmpty, name != ".", name != "..",
                !name.utf8.contains(0), !name.utf8.contains(UInt8(ascii: "/"))
            else {
                throw CheckpointError(
                    file: path, tensor: tensor, "is in a file outside the folder, according to the index")
            }
        }
        return map
    }

    /// Whether all files of an index exist; a stale index names others.
    private static func checkPresence(
        of files: [String], names: [String], index: String, in folder: any FileFolder
    ) throws(CheckpointError) {
        let missing = files.filter { !names.contains($0) }
        guard let first = missing.first else { return }
        let count =
            files.count == 1
            ? "the one file that it names" : "\(missing.count) of the \(files.count) files that it names"
        let later = standardNames.drop { $0 != index }.dropFirst().first(where: names.contains)
        throw CheckpointError(
            file: folder.path + "/" + index,
            "\(count) \(missing.count == 1 ? "is" : "are") not in the folder: \(first)",
            hint: later.map { "fetch the folder again, or remove the index if \($0) is the model" }
                ?? "fetch the folder again")
    }

    /// The index of the file to use for a tensor that two files contain.
    ///
    /// - Throws: when the index names neither.
    func decide(
        _ tensor: String, between a: Int, and b: Int, in folder: any FileFolder
    ) throws(CheckpointError) -> Int {
        switch map[tensor]?.string {
        case names[a]: return a
        case names[b]: return b
        default:
            throw CheckpointError(
                file: folder.path, tensor: tensor, "is in two of the folder's files, \(names[a]) and \(names[b])",
                hint: index.map { "add the tensor to \($0), which decides" })
        }
    }

    /// Every tensor of the index must be in the file that the index names.
    ///
    /// - Parameter part: the index of the file that contains a tensor.
    func check(in folder: any FileFolder, _ part: (String) -> Int?) throws(CheckpointError) {
        guard let index else { return }
        for (tensor, file) in map.members where part(tensor).map({ names[$0] }) != file.string {
            throw CheckpointError(
                file: folder.path + "/" + index, tensor: tensor,
                "is not in \(file.string ?? ""), where the index places it",
                hint: "a shard is missing or was replaced; fetch the folder again")
        }
    }
}
