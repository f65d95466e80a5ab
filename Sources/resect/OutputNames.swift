internal import Checkpoints

/// The files that one command writes: none may replace a file that it reads, and no two have the same name.
struct OutputNames {
    /// The paths of all outputs.
    let paths: [String]

    /// The outputs that a command has been asked for.
    init(_ paths: [String?]) { self.paths = paths.compactMap(\.self).filter { $0 != "-" } }

    /// Checks the paths, before any work.
    ///
    /// - Parameters:
    ///   - models: the models that are read.
    ///   - texts: the texts that are read: files, folders, `builtin` or `-`.
    func check(models: [Checkpoint], texts: [String] = []) throws(CheckpointError) {
        for (index, path) in paths.enumerated() {
            for model in models { try model.refuseAsOutput(path) }
            for text in texts where text != "-" && text != "builtin" && isText(path, text) { throw .isInput(path) }
            if paths[..<index].contains(where: { place($0) == place(path) }) {
                throw CheckpointError(file: path, "is the name of two outputs", hint: "give each a name of its own")
            }
        }
    }

    /// The path in a folder without links; nothing needs to be there.
    private func place(_ path: String) -> String {
        FileSystem.absolute(path.deletingLastPathComponent) + "/" + path.lastPathComponent
    }

    /// Whether a path is that of a text, or of a file in a folder of texts.
    private func isText(_ path: String, _ text: String) -> Bool {
        guard let identity = FileIdentity(path: path), let read = FileIdentity(path: text) else { return false }
        return identity == read
            || FileSystem.kind(of: text) == .folder && FileIdentity(path: path.deletingLastPathComponent) == read
    }
}
