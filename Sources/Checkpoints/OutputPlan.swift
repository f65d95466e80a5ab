internal import Formats

/// The complete layout of an output before writing: every file, header and offset.
public struct OutputPlan: Sendable {
    /// One file of the output.
    public struct File: Sendable {
        /// Its path in the output folder; for one of several shards without a folder, the suffix of the output's name;
        /// empty when the output is this one file.
        public let name: String
        /// The bytes at its start.
        let header: [UInt8]
        /// The tensors with their byte offsets; gaps between them are zero.
        let tensors: [(tensor: Tensor, byteOffset: Int)]
        /// The size of the file.
        public let byteCount: Int
    }

    /// The location of the files of an output.
    public enum Placement: Sendable {
        /// One file under the output's name.
        case file
        /// In a folder of that name.
        case folder
        /// Beside each other, under names that begin with the output's: x-00001-of-00002.gguf for x.gguf.
        case shards
    }

    /// The kind of output.
    public let form: Checkpoint.Form
    /// The location of the files.
    public let placement: Placement
    /// The files, weights first.
    public let files: [File]
    /// The checkpoint that is laid out.
    public let checkpoint: Checkpoint

    /// The bytes of all files together.
    public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }

    /// How many of the files are shards of the tensors; 1 when they are not split.
    public var shardCount: Int { max(1, files.count { !$0.tensors.isEmpty }) }

    /// Lays out a checkpoint in its own form.
    ///
    /// - Parameters:
    ///   - checkpoint: what is written.
    ///   - shardByteCount: the most bytes of tensors in a file, where a tensor is not larger; `nil` for one file.
    ///   - keepsShards: whether the tensors go into as many files as they come from, each into its own again.
    /// - Throws: when a tensor cannot be stored in that form, or both options are given.
    public init(
        _ checkpoint: Checkpoint, shardByteCount: Int? = nil, keepsShards: Bool = false
    ) throws(CheckpointError) {
        guard shardByteCount == nil || !keepsShards else {
            throw CheckpointError(file: checkpoint.path, "the shards are kept, or made by size, not both")
        }
        let kept = keepsShards ? try OutputPlan.keptShards(checkpoint) : nil
        self.checkpoint = checkpoint
        form = checkpoint.form
        if let name = NameSet.firstRepeated(in: checkpoint.tensors) {
            throw CheckpointError(file: checkpoint.path, tensor: name, "would be in the output twice")
        }
        switch checkpoint.container {
        case .gguf:
            files = try GGUF.layout(
                checkpoint, shards: kept ?? GGUF.split(checkpoint.tensors, limit: shardByteCount))
            placement = files.count > 1 ? .shards : .file
        case .safetensors:
            guard shardByteCount == nil else {
                throw CheckpointError(
                    file: checkpoint.path, "is written as one safetensors file, which has no shards",
                    hint: "name a folder as the output")
            }
            files = [try Safetensors.layout(checkpoint, tensors: checkpoint.tensors, name: "")]
            placement = .file
        case .folder(let folder):
            guard shardByteCount == nil || folder.weightsName == WeightFiles.modelName else {
                throw CheckpointError(
                    file: checkpoint.path, "is \(checkpoint.content.name), which is read from one file",
                    hint: "leave --shard-size out")
            }
            var (files, index) = try Safetensors.shardedLayout(
                checkpoint, shards: kept ?? Safetensors.split(checkpoint.tensors, limit: shardByteCount))
            for companion in folder.companions {
                files.append(OutputPlan.plain(companion.name, companion.contents))
            }
            if var config = folder.config {
                // It names the file of the weights, which has the usual name now.
                config["transformers_weights"] = nil
                files.append(OutputPlan.plain("config.json", Array(JSON.object(config).pretty.utf8)))
            }
            if let index {
                files.append(OutputPlan.plain(HuggingFaceFolder.indexName, Array(JSON.object(index).pretty.utf8)))
            }
            self.files = files
            placement = .folder
        }
    }

    /// The tensors of each shard that the checkpoint was opened from; all in one when it was one file.
    private static func keptShards(_ checkpoint: Checkpoint) throws(CheckpointError) -> [[Tensor]] {
        let counts = checkpoint.shardTensorCounts
        guard !counts.isEmpty else { return [checkpoint.tensors] }
        guard counts.reduce(0, +) == checkpoint.tensors.count else {
            throw CheckpointError(
                file: checkpoint.path,
                "has \(checkpoint.tensors.count.grouped) tensors, and its shards had \(counts.reduce(0, +).grouped)")
        }
        var rest = checkpoint.tensors[...]
        return counts.map { count in
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
    }

    /// The sub-folders of the output, parents first.
    var folders: [String] { placement == .folder ? files.map(\.name).subfolders : [] }

    /// The path of a file of an output.
    public func path(of file: File, in output: String) -> String {
        switch placement {
        case .file: output
        case .folder: output + "/" + file.name
        case .shards: (OutputPlan.form(ofPath: output) == .gguf ? String(output.dropLast(5)) : output) + file.name
        }
    }

    /// The path of a file while an output is written under a temporary name.
    func temporaryPath(of file: File, in temporary: String, for output: String) -> String {
        switch placement {
        case .file: temporary
        case .folder: temporary + "/" + file.name
        case .shards: temporary + "/" + path(of: file, in: output).lastPathComponent
        }
    }

    private static func plain(_ name: String, _ contents: [UInt8]) -> File {
        File(name: name, header: contents, tensors: [], byteCount: contents.count)
    }

    /// The container for an output's name: `x.gguf` or `x.safetensors`, in upper or lower case, else a folder.
    public static func form(ofPath path: String) -> Checkpoint.Form {
        let path = path.lowercased()
        if path.hasSuffix(".gguf") { return .gguf }
        return path.hasSuffix(".safetensors") ? .safetensors : .folder
    }

    /// Everything that decides the bytes of the output, as text: the files, and where each tensor comes from.
    package var identity: String {
        var text = "\(form)\n"
        for file in files {
            text += "\(file.name) \(file.byteCount) \(Digest(of: file.header))\n"
            for (tensor, byteOffset) in file.tensors {
                text += "\(byteOffset) \(tensor.dtype) \(Fingerprint(of: tensor.recipe).text)\n"
            }
        }
        for source in checkpoint.sources { text += "\(source.state)\n" }
        return text
    }
}

extension [String] {
    /// The folders of relative paths, parents first.
    var subfolders: [String] {
        var found: Set<String> = []
        for path in self {
            let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
            for count in parts.indices { found.insert(parts[...count].joined(separator: "/")) }
        }
        return found.sorted()
    }
}
