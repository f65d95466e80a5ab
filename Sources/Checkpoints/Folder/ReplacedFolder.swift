/// A folder that an output replaces.
enum ReplacedFolder {
    /// Refuses a folder with anything but a checkpoint, because all of it is removed.
    static func check(_ path: String) throws(CheckpointError) {
        let folder = DiskFolder(path: path)
        let names = try FileSystem.names(in: path, hidden: true)
        let isCheckpoint = names.contains { $0 == "config.json" || $0.hasSuffix(".safetensors") }
        let isPlain = names.allSatisfy { FileSystem.isRegularFile(path + "/" + $0) || isSubfolder(path + "/" + $0) }
        guard names.isEmpty || (isCheckpoint && isPlain) else { throw refusal(path, "") }
        // Sub-folders may contain files that were copied with the weights.
        let weights = names.filter { !FileSystem.isOwnFolder(path + "/" + $0) }
        let companions = try CompanionFiles(of: folder, names: try folder.names(), weights: weights)
        if let other = companions.leftOut.first { throw refusal(path, ": \(other)") }
    }

    private static func refusal(_ path: String, _ what: String) -> CheckpointError {
        CheckpointError(file: path, "is a folder with other contents than a checkpoint\(what)")
    }

    /// Whether a path is a folder without hidden files. One that cannot be listed is not, so it is never replaced.
    private static func isSubfolder(_ path: String) -> Bool {
        guard !path.lastPathComponent.hasPrefix("."), FileSystem.isOwnFolder(path),
            let names = try? FileSystem.names(in: path, hidden: true)
        else { return false }
        return names.allSatisfy { name in
            !name.hasPrefix(".") && (!FileSystem.isOwnFolder(path + "/" + name) || isSubfolder(path + "/" + name))
        }
    }
}
