/// What the reader of a container sees of a file: its size, the bytes that it may look at, and where its ranges come
/// from.
///
/// A mapped file exposes all its bytes; a file in an archive may expose only its header.
protocol FileImage: Sendable {
    /// The path, as messages name it.
    var path: String { get }
    /// Bytes in the whole file.
    var byteCount: Int { get }
    /// The bytes that can be looked at, from the start of the file; they live as long as the image.
    var bytes: UnsafeRawBufferPointer { get }
    /// The mapped file that its bytes come from: itself, or an archive.
    var mappedFile: MappedFile { get }
    /// The recipe of a range of the file, which is checked.
    func recipe(checked byteOffset: Int, _ byteCount: Int) -> Recipe
}

extension FileImage {
    /// A part of the file, checked against its size.
    ///
    /// - Throws: when the range is not within the file; this is the only check.
    func recipe(
        _ byteOffset: Int, _ byteCount: Int, tensor: String
    ) throws(CheckpointError) -> Recipe {
        guard byteOffset >= 0, byteCount >= 0, byteOffset <= self.byteCount,
            byteCount <= self.byteCount - byteOffset
        else {
            throw CheckpointError(
                file: path, tensor: tensor,
                "needs \(byteCount.grouped) bytes at offset \(byteOffset.grouped); the file has "
                    + self.byteCount.grouped,
                hint: "the file is incomplete; fetch it again")
        }
        return recipe(checked: byteOffset, byteCount)
    }

    /// The kind of a file that is not a checkpoint, for common kinds; `nil` when unknown.
    var foreignContents: String? {
        if byteCount == 0 { return "is empty" }
        func starts(with text: StaticString) -> Bool {
            bytes.starts(with: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        }
        if starts(with: "version https://git-lfs") {
            return "is a Git LFS pointer, not the file itself; fetch it with 'git lfs pull'"
        }
        if starts(with: "PK\u{3}\u{4}") { return "is a zip archive (a PyTorch file?), not safetensors" }
        if starts(with: "GGUF") { return "is a GGUF file under another name; rename it to .gguf" }
        return nil
    }
}

extension MappedFile: FileImage {
    /// The file itself.
    var mappedFile: MappedFile { self }

    /// A range of the map.
    func recipe(checked byteOffset: Int, _ byteCount: Int) -> Recipe {
        .mapped(MappedRange(file: self, byteOffset: byteOffset, byteCount: byteCount))
    }
}
