/// A file of a folder: in the folder itself or in Hugging Face's cache.
enum FolderFile {
    /// The path of a file that is really in a folder.
    ///
    /// A folder from elsewhere may hold links to anything, and what they lead to would end up in an output. A link may
    /// lead to a file in the folder, or, as in the cache, from `snapshots/REVISION` to the `blobs` beside `snapshots`.
    ///
    /// - Throws: when the name leads to a file elsewhere.
    static func path(_ name: String, in folder: String) throws(CheckpointError) -> String {
        let path = folder + "/" + name
        guard let real = FileSystem.resolved(path), let home = FileSystem.resolved(folder) else { return path }
        let directory = real.deletingLastPathComponent
        let isAtHome = directory == home || directory.hasPrefix(home == "/" ? home : home + "/")
        guard isAtHome || blobs(of: home).contains(directory) else {
            throw CheckpointError(
                file: path, "is a link to a file outside the folder",
                hint: "resect follows only links of Hugging Face's cache; replace the link by a copy")
        }
        return path
    }

    /// The folders of blobs that a snapshot's links may lead to.
    private static func blobs(of folder: String) -> [String] {
        var found: [String] = []
        var directory = folder
        while directory != "/", directory != "." {
            if directory.lastPathComponent == "snapshots" {
                found.append(directory.deletingLastPathComponent + "/blobs")
            }
            directory = directory.deletingLastPathComponent
        }
        return found
    }
}
