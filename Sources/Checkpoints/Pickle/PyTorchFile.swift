internal import Formats

// PyTorch files, as torch.save writes them. Both forms are read without running anything.
//
// The zip form (since 1.6). All records are stored, not compressed, aligned to 64 bytes by padding in the local
// header's extra field; sizes are in the central directory and in a descriptor after the data. All names begin with the same
// folder.
//
//     NAME/data.pkl       a pickle of the object; a storage is a persistent id:
//                         ('storage', class, KEY, device, elements), where the class gives the element type
//     NAME/data/KEY       the bytes of a storage
//     NAME/byteorder      "little" or "big"; little when it is missing
//     NAME/version        a number
//
// The older form: five pickles one after another, then the storages in the order of the fifth.
//
//     magic number        0x1950a86a20f9469cfc6c
//     protocol version    1001
//     system              a dictionary: little_endian, sizes of C's types
//     object              ('storage', class, KEY, device, elements, None) for a storage
//     keys                a list of the storages' keys
//     for each key        u64 elements, then their bytes
//
// A tensor is `_rebuild_tensor_v2(storage, offset, shape, strides, …)`: any strides over any part of a storage, which
// several tensors may share. The older tar form and TorchScript archives are refused by name.

/// Reading of the format.
enum PyTorch {
    /// Common extensions of these files.
    static let endings = [".bin", ".pt", ".pth", ".ckpt"]
    /// The maximum size of a pickle, which names tensors but does not contain their bytes.
    static let maximumPickleBytes = 64 << 20

    /// Whether a file was written by torch.save or has an extension that says so.
    static func recognizes(_ file: any FileImage) -> Bool {
        let bytes = file.bytes
        if bytes.starts(with: ZipDirectory.localMagic) || bytes.starts(with: LegacyPyTorch.magic) { return true }
        guard endings.contains(where: file.path.hasSuffix), let first = bytes.first else { return false }
        return first == PickleOpcode.proto.rawValue || isTar(bytes)
    }

    /// The tensors of one file, checked as a whole. Only the pickle is read, not the storages.
    static func read(_ file: any FileImage) throws(CheckpointError) -> [Tensor] {
        // The directory of an archive is at its end.
        guard file.bytes.count == file.byteCount else {
            throw CheckpointError(file: file.path, "is a PyTorch file inside an archive; only whole files are read")
        }
        if file.bytes.starts(with: ZipDirectory.localMagic) { return try ZippedPyTorch.read(file) }
        if let problem = file.foreignContents { throw CheckpointError(file: file.path, problem) }
        if isTar(file.bytes) {
            throw CheckpointError(
                file: file.path, "is a PyTorch file of before 0.1.10 (a tar archive), which is not read",
                hint: "load it in PyTorch and save it again")
        }
        return try LegacyPyTorch.read(file)
    }

    /// Opens a single file. Like a single safetensors file, it has no configuration.
    static func open(_ file: MappedFile) throws(CheckpointError) -> Checkpoint {
        let tensors = try read(file)
        var checkpoint = Checkpoint(
            path: file.path, container: .safetensors(header: headerMetadata), tensors: tensors, sources: [file])
        checkpoint.isPyTorch = true
        checkpoint.content = Checkpoint.Content(tensors)
        return checkpoint
    }

    /// What PyTorch's own users put into the header of a safetensors file.
    static var headerMetadata: JSONObject { JSONObject([("format", .string("pt"))]) }

    private static func isTar(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count >= 512 && bytes[257..<262].elementsEqual("ustar".utf8)
    }
}
