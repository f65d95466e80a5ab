/// The files among which a checkpoint is found: a folder on the disk, or one in an archive.
protocol FileFolder: Sendable {
    /// The path, as messages name it.
    var path: String { get }
    /// The names in a sub-folder, sorted by bytes, without hidden ones; "" is the folder itself.
    func names(in subfolder: String) throws(CheckpointError) -> [String]
    /// Whether a name leads to a regular file.
    func isFile(_ name: String) -> Bool
    /// Whether a name is that of a sub-folder, and not of a link to a folder, which may lead anywhere.
    func isFolder(_ name: String) -> Bool
    /// The size of a file.
    func byteCount(of name: String) throws(CheckpointError) -> Int
    /// The number of bytes that `contents` may still return.
    var memoryAllowance: Int { get }
    /// A file for the reader of a container.
    func image(_ name: String) throws(CheckpointError) -> any FileImage
    /// The whole of a small file.
    func contents(of name: String, limit: Int) throws(CheckpointError) -> [UInt8]
}

extension FileFolder {
    /// The names in it, sorted by bytes, without hidden ones.
    func names() throws(CheckpointError) -> [String] { try names(in: "") }
}

/// A folder on the disk.
struct DiskFolder: FileFolder {
    let path: String
    /// The prefix of file names.
    private let prefix: String
    /// Whether a name refers to a file inside the folder.
    private let isClosed: Bool

    /// The folder at a path; its names may not lead out of it.
    init(path: String) {
        self.path = path
        prefix = path + "/"
        isClosed = true
    }

    /// The folder of a file, for its sibling files.
    init(beside file: String) {
        path = file.deletingLastPathComponent
        prefix = String(file.dropLast(file.lastPathComponent.count))
        isClosed = false
    }

    private func location(_ name: String) throws(CheckpointError) -> String {
        isClosed ? try FolderFile.path(name, in: path) : prefix + name
    }

    func names(in subfolder: String) throws(CheckpointError) -> [String] {
        try FileSystem.names(in: subfolder.isEmpty ? path : prefix + subfolder)
    }

    func isFile(_ name: String) -> Bool { FileSystem.isRegularFile(prefix + name) }

    func isFolder(_ name: String) -> Bool { FileSystem.isOwnFolder(prefix + name) }

    func byteCount(of name: String) throws(CheckpointError) -> Int { try FileSystem.byteCount(of: location(name)) }

    var memoryAllowance: Int { .max }

    func image(_ name: String) throws(CheckpointError) -> any FileImage { try MappedFile(path: location(name)) }

    func contents(of name: String, limit: Int) throws(CheckpointError) -> [UInt8] {
        try FileSystem.contents(of: location(name), limit: limit)
    }
}
