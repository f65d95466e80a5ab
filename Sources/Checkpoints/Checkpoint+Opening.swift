internal import Formats

extension Checkpoint {
    /// Opens a checkpoint: an HF folder, its index, a safetensors file, or a GGUF file (any shard of a split).
    ///
    /// Only headers are read. Every tensor is checked to lie in its file.
    ///
    /// - Throws: `CheckpointError` when the path leads to nothing that can be read.
    public static func open(_ path: String) throws(CheckpointError) -> Checkpoint {
        switch FileSystem.kind(of: path) {
        case .missing: throw CheckpointError(file: path, "does not exist")
        case .other: throw CheckpointError(file: path, "is not a regular file")
        case .folder: return try HuggingFaceFolder.open(path)
        case .file: break
        }
        if path.hasSuffix(".safetensors.index.json") {
            return try HuggingFaceFolder.open(path.deletingLastPathComponent)
        }
        let file = try MappedFile(path: path)
        if file.byteCount == 0 { throw CheckpointError(file: path, "is empty") }
        let isGGUF = withExtendedLifetime(file) { file.bytes.starts(with: GGUF.magic) }
        if isGGUF { return try GGUF.open(path) }
        guard path.hasSuffix(".safetensors") else {
            throw CheckpointError(
                file: path, file.foreignContents ?? "is neither safetensors nor GGUF",
                hint: "a model is an HF folder, a .safetensors file or a .gguf file")
        }
        let contents = try Safetensors.read(file)
        return Checkpoint(
            path: path, form: .safetensors, tensors: contents.tensors, config: nil,
            metadata: GGUFMetadata(), headerMetadata: contents.metadata, companions: [],
            architecture: nil, sources: [file])
    }
}
