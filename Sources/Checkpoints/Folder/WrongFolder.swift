/// What a folder is in which no weights are found, for the kinds that people name by mistake.
enum WrongFolder {
    /// The error for a folder without weights, with the name to use instead.
    static func error(_ folder: any FileFolder, names: [String]) -> CheckpointError {
        let path = folder.path
        func error(_ problem: String, name: [String]) -> CheckpointError {
            let shown = name.prefix(3).map { path + "/" + $0 }.joined(separator: ", ")
            let rest = name.count > 3 ? ", …" : ""
            return CheckpointError(file: path, problem, hint: name.isEmpty ? nil : "name \(shown)\(rest)")
        }
        if names.contains("snapshots"), folder.isFolder("snapshots") {
            return error(
                "is the root of a model in the cache of Hugging Face, which has no files itself",
                name: snapshots(of: folder, in: ""))
        }
        let models = names.filter { $0.hasPrefix("models--") && folder.isFolder($0) }
        if !models.isEmpty {
            return error(
                "is the cache of Hugging Face, with \(counted(models.count, "model"))",
                name: models.flatMap { snapshots(of: folder, in: $0 + "/") })
        }
        let ggufs = names.filter { $0.lowercased().hasSuffix(".gguf") }
        if !ggufs.isEmpty {
            return error(
                "holds \(counted(ggufs.count, "GGUF file")), and no safetensors file", name: openers(of: ggufs))
        }
        let archives = names.filter { $0.hasSuffix(".resect") }
        if !archives.isEmpty {
            return error("holds \(counted(archives.count, "archive")), and no safetensors file", name: archives)
        }
        for (ending, what) in [
            (".h5", "weights of TensorFlow"), (".msgpack", "weights of Flax"), (".onnx", "an ONNX graph"),
            (".incomplete", "a download that is not finished"), (".distcp", "a distributed checkpoint of PyTorch"),
        ] {
            guard let name = names.first(where: { $0.hasSuffix(ending) }) else { continue }
            return CheckpointError(
                file: path, "holds \(what), \(name), and no safetensors file",
                hint: "safetensors, GGUF and PyTorch files are read")
        }
        let inner = names.filter { folder.isFolder($0) && holdsModel(folder, $0) }
        if !inner.isEmpty {
            return error(
                "the folder has no safetensors file; \(counted(inner.count, "sub-folder")) may have one", name: inner)
        }
        let others = names.filter(WeightFiles.areWeights)
        if let first = others.first {
            let rest = others.count > 1 ? " and \(counted(others.count - 1, "other file"))" : ""
            return CheckpointError(
                file: path, "the folder has no model, only \(first)\(rest)",
                hint: "this name is usual for an optimizer's state or an embedding; give the file if it is a model")
        }
        return CheckpointError(file: path, "the folder has no safetensors file")
    }

    // These look for a hint in an error that is reported in any case, so errors on the way do not matter.

    /// The snapshots of a model in the cache, that of the main branch first.
    private static func snapshots(of folder: any FileFolder, in model: String) -> [String] {
        let found = ((try? folder.names(in: model + "snapshots")) ?? []).map { model + "snapshots/" + $0 }
        guard let main = try? folder.contents(of: model + "refs/main", limit: 1 << 10) else { return found }
        let name = model + "snapshots/" + String(decoding: main.prefix { $0 > 0x20 }, as: UTF8.self)
        return found.contains(name) ? [name] : found
    }

    /// The files that open models: of a split one the first, and no projectors or importance matrices where there are
    /// others.
    private static func openers(of names: [String]) -> [String] {
        let first = names.filter { name in
            let parts = name.dropLast(5).split(separator: "-")
            let isShard = parts.count > 2 && parts[parts.count - 2] == "of" && parts.suffix(3).first?.count == 5
            return !isShard || parts[parts.count - 3] == "00001"
        }
        let models = first.filter { !$0.contains("mmproj") && !$0.contains("imatrix") }
        return models.isEmpty ? first : models
    }

    private static func holdsModel(_ folder: any FileFolder, _ subfolder: String) -> Bool {
        let names = (try? folder.names(in: subfolder)) ?? []
        return names.contains("config.json") && names.contains(where: WeightFiles.areWeights)
    }
}
