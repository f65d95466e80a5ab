/// The files among which a checkpoint is found: a folder on the disk, or one in an archive.
protocol FileFolder: Sendable {
    /// The path, as messages name it.
    var path: String { get }
    /// The names of what is in one of its sub-folders, sorted by bytes, without the hidden ones; "" is the folder itself.
    func names(in subfolder: String) throws(CheckpointError) -> [String]
    /// Whether a name leads to a regular file.
    func isFile(_ name: String) -> Bool
    /// Whether a name is that of a sub-folder, and not of a link to a folder, which may lead anywhere.
    func isFolder(_ name: String) -> Bool
    /// The size of a file.
    func byteCount(of name: String) throws(CheckpointError) -> Int
    /// How many more bytes of files `contents` gives.
    var memoryAllowance: Int { get }
    /// A file for the reader of a container.
    func image(_ name: String) throws(CheckpointError) -> any FileImage
    /// The whole of a small file.
    func contents(of name: String, limit: Int) throws(CheckpointError) -> [UInt8]
}

extension FileFolder {
    /// The names of what is in it, sorted by bytes, without the hidden ones.
    func names() throws(CheckpointError) -> [String] { try names(in: "") }
}

/// A folder on the disk.
struct DiskFolder: FileFolder {
    let path: String
    /// What stands before the name of a file.
    private let prefix: String
    /// Whether a name may only lead to a file that the folder holds.
    private let isClosed: Bool

    /// The folder at a path; its names may not lead out of it.
    init(path: String) {
        self.path = path
        prefix = path + "/"
        isClosed = true
    }

    /// The folder that a file lies in; its files are named as that one was.
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
