#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A file from memory: written to a temporary sibling, synced, and renamed.
package enum WholeFile {
    /// Throws when a file cannot be written to a path: it exists and is not replaced, or its folder does not exist.
    package static func check(_ path: String, replaces: Bool) throws(CheckpointError) {
        switch FileSystem.kind(of: path) {
        case .missing:
            try FileSystem.refuseDanglingLink(path)
            guard FileSystem.kind(of: path.deletingLastPathComponent) == .folder else {
                throw CheckpointError(
                    file: path.deletingLastPathComponent, "is not a folder, so nothing can be written there")
            }
            try FileSystem.checkCreation(path)
        case .file: if !replaces { throw CheckpointError(file: path, "exists", hint: "--force replaces it") }
        case .folder: throw CheckpointError(file: path, "is a folder")
        case .other: throw CheckpointError(file: path, "is a device or a pipe, not a file")
        }
    }

    /// Writes a file.
    ///
    /// - Parameter more: memory that follows the contents, so that it need not be copied.
    package static func write(
        _ contents: [UInt8], _ more: [UnsafeRawBufferPointer] = [], to path: String, replaces: Bool
    ) throws(CheckpointError) {
        try check(path, replaces: replaces)
        try unfinished(contents, more, path: path).finish()
    }

    /// Writes a folder with files; a name with slashes is the path of a file in a sub-folder. The path must not exist
    /// yet.
    package static func writeFolder(
        _ files: [(name: String, contents: [UInt8])], to path: String
    ) throws(CheckpointError) {
        guard FileSystem.kind(of: path) == .missing else { throw CheckpointError(file: path, "exists") }
        let output = try TemporaryOutput(for: path, folder: true)
        let folders = files.map(\.name).subfolders
        try output.makeFolders(folders)
        for file in files {
            let writer = try FileWriter(
                path: output.path + "/" + file.name, named: path + "/" + file.name, byteCount: file.contents.count)
            try writer.write(file.contents, at: 0)
            try writer.sync()
        }
        for folder in folders { FileSystem.syncFolder(output.path + "/" + folder) }
        try output.finish()
    }

    /// Removes a file, if it is there.
    package static func remove(_ path: String) { unlink(path) }

    /// A file that is complete on the disk and does not have its name yet.
    static func unfinished(
        _ contents: [UInt8], _ more: [UnsafeRawBufferPointer] = [], path: String
    ) throws(CheckpointError) -> TemporaryOutput {
        let output = try TemporaryOutput(for: path, folder: false)
        let byteCount = more.reduce(contents.count) { $0 + $1.count }  // fits: all of it is in memory
        let writer = try FileWriter(path: output.path, named: path, byteCount: byteCount)
        try writer.write(contents, at: 0)
        var offset = contents.count
        for piece in more {
            try writer.write(piece, at: offset)
            offset += piece.count  // fits: within the file
        }
        try writer.sync()
        return output
    }
}
