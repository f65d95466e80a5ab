/// The files of an archive as a folder.
struct ArchiveFolder: FileFolder {
    let archive: Archive
    let path: String

    init(_ archive: Archive) {
        self.archive = archive
        let root = archive.file.path
        path = archive.index.kind == .folder ? root + "/" + archive.index.name : root
    }

    func names(in subfolder: String) throws(CheckpointError) -> [String] {
        let start = subfolder.isEmpty ? "" : subfolder + "/"
        let found = archive.index.files.lazy.filter { $0.name.hasPrefix(start) }.map { file in
            String(file.name.dropFirst(start.count).prefix { $0 != "/" })
        }
        return Set(found.filter { !$0.hasPrefix(".") }).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    func isFile(_ name: String) -> Bool { file(name) != nil }

    func isFolder(_ name: String) -> Bool { archive.index.files.contains { $0.name.hasPrefix(name + "/") } }

    func byteCount(of name: String) throws(CheckpointError) -> Int { try found(name).byteCount }

    var memoryAllowance: Int { archive.memoryAllowance }

    func image(_ name: String) throws(CheckpointError) -> any FileImage {
        try ArchiveMember(try found(name), of: archive, path: path + "/" + name)
    }

    func contents(of name: String, limit: Int) throws(CheckpointError) -> [UInt8] {
        let file = try found(name)
        guard file.byteCount <= limit else {
            throw CheckpointError(
                file: path + "/" + name,
                "has \(file.byteCount.grouped) bytes; at most \(limit.grouped) are read")
        }
        try archive.reserve(file.byteCount, for: name)
        var bytes = [UInt8](repeating: 0, count: file.byteCount)
        let outcome = bytes.withUnsafeMutableBytes { buffer in
            Result { () throws(CheckpointError) in try archive.read(file, from: 0, into: buffer) }
        }
        try outcome.get()
        return bytes
    }

    private func file(_ name: String) -> ArchiveIndex.File? {
        archive.index.files.first { $0.name.utf8.elementsEqual(name.utf8) }
    }

    private func found(_ name: String) throws(CheckpointError) -> ArchiveIndex.File {
        guard let file = file(name) else { throw CheckpointError(file: path + "/" + name, "does not exist") }
        return file
    }
}

extension Archive {
    /// The checkpoint in an archive; only headers and small files are unpacked.
    func checkpoint() throws(CheckpointError) -> Checkpoint {
        guard index.base == nil || !base.isEmpty else {
            throw CheckpointError(
                file: file.path, "is a patch on another checkpoint",
                hint: "'resect unpack --against BASE' makes the whole of it")
        }
        let folder = ArchiveFolder(self)
        if index.kind == .folder { return try HuggingFaceFolder.open(folder) }
        return try Checkpoint.open(image: try folder.image(index.files[0].name), in: folder)
    }
}
