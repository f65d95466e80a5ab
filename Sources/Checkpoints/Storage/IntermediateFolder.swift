/// A hidden folder beside an output for files that are needed until the output is written.
///
/// It is removed with everything in it when the value is released, and when a signal ends the program.
package final class IntermediateFolder: Sendable {
    private let folder: TemporaryOutput

    /// Makes the folder.
    ///
    /// - Throws: when it cannot be made, or another run has it.
    package init(beside output: String) throws(CheckpointError) {
        let parent = output.deletingLastPathComponent
        guard FileSystem.kind(of: parent) == .folder else {
            throw CheckpointError(file: parent, "is not a folder, so nothing can be written there")
        }
        // The output has a sibling of its own while it is written.
        folder = try TemporaryOutput(for: "\(parent)/\(output.lastPathComponent).steps", folder: true)
    }

    /// The path of a file or folder of any name in a folder of its own.
    package func path(_ place: String, name: String) throws(CheckpointError) -> String {
        try folder.makeFolders([place])
        let path = "\(folder.path)/\(place)/\(name)"
        return path.hasPrefix("./") ? String(path.dropFirst(2)) : path
    }
}
