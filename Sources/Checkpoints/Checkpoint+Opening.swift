internal import Formats

extension Checkpoint {
    /// Opens a checkpoint: an HF folder, its index, a safetensors file, a PyTorch file, a GGUF file (any shard of a
    /// split), an archive of these, `-` for standard input, or `org/model` for a model in the hub cache.
    ///
    /// Only headers and small files are read. Every tensor is checked to be within its file.
    ///
    /// - Throws: `CheckpointError` when the path is not a readable checkpoint.
    public static func open(_ path: String) throws(CheckpointError) -> Checkpoint {
        if path == StandardInput.argument { return try open(file: try StandardInput.file()) }
        switch FileSystem.kind(of: path) {
        case .missing:
            guard let folder = try HubCache.folder(named: path) else {
                throw CheckpointError(file: path, "does not exist")
            }
            return try HuggingFaceFolder.open(folder)
        case .other:
            throw CheckpointError(
                file: path, "is not a regular file", hint: "for a pipe give - and redirect it: resect … - < pipe")
        case .folder: return try HuggingFaceFolder.open(HubCache.snapshot(of: path) ?? path)
        case .file: break
        }
        if WeightFiles.isIndex(path.lastPathComponent) {
            return try HuggingFaceFolder.open(path.deletingLastPathComponent, index: path.lastPathComponent)
        }
        return try open(file: try MappedFile(path: path))
    }

    /// Opens a single file according to its contents.
    private static func open(file: MappedFile) throws(CheckpointError) -> Checkpoint {
        if Archive.isArchive(file) { return try Archive(file).checkpoint() }
        return try open(image: file, in: DiskFolder(beside: file.path))
    }

    /// Opens a single file of a folder according to its contents.
    static func open(image: any FileImage, in folder: any FileFolder) throws(CheckpointError) -> Checkpoint {
        if image.byteCount == 0 { throw CheckpointError(file: image.path, "is empty") }
        let isGGUF = withExtendedLifetime(image) { image.bytes.starts(with: GGUF.magic) }
        if isGGUF { return try GGUF.open(image, in: folder) }
        if let file = image as? MappedFile, withExtendedLifetime(file, { PyTorch.recognizes(file) }) {
            return try PyTorch.open(file)
        }
        if !(image is MappedFile), PyTorchFolder.holds(image.path) {
            throw CheckpointError(
                file: image.path, "is a PyTorch file in an archive, which resect does not read", hint: "unpack it first"
            )
        }
        guard image.path.lowercased().hasSuffix(".safetensors") || image.path == StandardInput.name else {
            if let file = image as? MappedFile, let matrix = ImportanceMatrix.legacyCheckpoint(file) { return matrix }
            throw CheckpointError(
                file: image.path, image.foreignContents ?? "is not a safetensors, GGUF or PyTorch file",
                hint: "a model is an HF folder, a .safetensors file, a .gguf file or a PyTorch file")
        }
        let contents = try Safetensors.read(image)
        var checkpoint = Checkpoint(
            path: image.path, container: .safetensors(header: contents.metadata), tensors: contents.tensors,
            sources: [image.mappedFile])
        checkpoint.content = Content(contents.tensors)
        return checkpoint
    }
}
