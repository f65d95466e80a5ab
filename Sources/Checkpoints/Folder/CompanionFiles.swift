internal import Formats

/// The files that are copied with the tensors of a folder (tokenizers, templates, licences, also in sub-folders), and
/// those that are not.
struct CompanionFiles {
    /// The files that are copied; those in sub-folders by their path in the folder.
    private(set) var names: [String] = []
    /// Names in the folder that are not copied, without hidden files.
    private(set) var leftOut: [String] = []

    /// A companion is read into memory: tokenizers reach 20 MB or so, weights are far above.
    static let maximumByteCount = 64 << 20
    private static let maximumTotal = 512 << 20
    private static let maximumDepth = 4
    private static let maximumCount = 4096
    private static let endings = [".json", ".txt", ".model", ".jinja", ".md", ".tiktoken", ".py"]
    private static let neededNames = ["tokenizer.json", "tokenizer_config.json", "tokenizer.model"]
    private static let knownNames = ["LICENSE", "NOTICE", "USE_POLICY"]
    /// The extensions of weight files.
    private static let weightEndings =
        PyTorch.endings + [
            ".safetensors", ".gguf", ".onnx", ".onnx_data", ".h5", ".msgpack", ".tflite", ".npz", ".distcp",
        ]

    private let folder: any FileFolder
    /// Sub-folders that sentence-transformers reads as parts of the model, so that even their weights are copied.
    private var modules: Set<String> = []
    private var left: Int

    /// Finds the files that are copied.
    ///
    /// - Parameters:
    ///   - names: the names in the folder itself.
    ///   - weights: the files of the model.
    init(of folder: any FileFolder, names: [String], weights: [String]) throws(CheckpointError) {
        self.folder = folder
        left = min(CompanionFiles.maximumTotal, folder.memoryAllowance)
        if names.contains("modules.json") { modules = try CompanionFiles.modules(of: folder) }
        // Settings of another runtime beside its weights would keep the old layer count after a cut.
        let otherSettings =
            names.contains { $0.hasPrefix("consolidated.") && !weights.contains($0) } ? "params.json" : ""
        let isAdapter = weights.contains(where: WeightFiles.areAdapter)
        for name in names where name != "config.json" && !weights.contains(name) && !WeightFiles.isIndex(name) {
            if folder.isFolder(name) {
                walk(name, depth: 1)
            } else if name == otherSettings || (!isAdapter && name.hasPrefix("adapter_")) {
                leftOut.append(name)
            } else {
                try take(name)
            }
        }
    }

    /// The sub-folders that modules.json names; none when it is not JSON. The file is copied as it is in any case.
    private static func modules(of folder: any FileFolder) throws(CheckpointError) -> Set<String> {
        let contents = try folder.contents(of: "modules.json", limit: maximumByteCount)
        let list = contents.withUnsafeBytes { try? JSON.parse($0, allowsNonFinite: true) }?.array ?? []
        return Set(list.compactMap { $0["path"]?.string }.filter { !$0.isEmpty })
    }

    /// The files with their bytes.
    func read() throws(CheckpointError) -> [Checkpoint.Companion] {
        try names.map { (name) throws(CheckpointError) in
            .init(name: name, contents: try folder.contents(of: name, limit: CompanionFiles.maximumByteCount))
        }
    }

    /// Decides about a file of the folder itself.
    private mutating func take(_ name: String) throws(CheckpointError) {
        guard CompanionFiles.travels(name), folder.isFile(name) else { return leftOut.append(name) }
        // Without its tokenizer the output would be another model.
        let isNeeded = CompanionFiles.neededNames.contains(name)
        let byteCount = try folder.byteCount(of: name)
        guard isNeeded || byteCount <= min(CompanionFiles.maximumByteCount, left) else { return leftOut.append(name) }
        left -= min(left, byteCount)
        names.append(name)
    }

    private static func travels(_ name: String) -> Bool {
        endings.contains(where: name.hasSuffix) || knownNames.contains(name)
    }

    /// Decides about the files of a sub-folder and of the folders in it. A folder that cannot be listed is left out by
    /// name.
    private mutating func walk(_ subfolder: String, depth: Int) {
        let found = (try? folder.names(in: subfolder)) ?? []
        let isModule = modules.contains(subfolder)
        // Files beside other weights belong to those.
        let hasWeights = found.contains { CompanionFiles.weightEndings.contains(where: $0.hasSuffix) }
        guard depth <= CompanionFiles.maximumDepth, isModule || !hasWeights else {
            return leftOut.append(subfolder + "/")
        }
        let before = (names.count, leftOut.count)
        for name in found {
            let path = subfolder + "/" + name
            if folder.isFolder(path) {
                walk(path, depth: depth + 1)
            } else if !takeInner(path, name, isModule: isModule) {
                leftOut.append(path)
            }
        }
        guard names.count == before.0 else { return }
        leftOut.removeSubrange(before.1...)
        leftOut.append(subfolder + "/")
    }

    /// Adds a file of a sub-folder if it is to be copied, and returns whether it is. A file that cannot be read is left
    /// out by the name of its folder.
    private mutating func takeInner(_ path: String, _ name: String, isModule: Bool) -> Bool {
        guard isModule || CompanionFiles.travels(name), folder.isFile(path),
            let byteCount = try? folder.byteCount(of: path),
            byteCount <= min(CompanionFiles.maximumByteCount, left), names.count < CompanionFiles.maximumCount
        else { return false }
        left -= byteCount
        names.append(path)
        return true
    }
}
