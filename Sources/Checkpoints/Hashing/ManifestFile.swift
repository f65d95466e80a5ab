/// Writing of manifests.
package enum ManifestFile {
    /// Whether a manifest may be written there: like any output, and never over an input.
    package static func check(
        _ path: String, replaces: Bool, for checkpoint: Checkpoint
    ) throws(CheckpointError) {
        if let identity = FileIdentity(path: path), checkpoint.sources.contains(where: { $0.identity == identity }) {
            throw CheckpointError(file: path, "is the input", hint: "write the manifest to another name")
        }
        try SmallFile.check(path, replaces: replaces)
    }

    /// Whether a manifest may go there beside an output: not over it, nor into it, as it gets its name when it is
    /// whole.
    static func check(_ path: String, beside output: String) throws(CheckpointError) {
        let folder = FileIdentity(path: path.deletingLastPathComponent)
        let isOutput =
            path.lastPathComponent == output.lastPathComponent
            && folder == FileIdentity(path: output.deletingLastPathComponent)
        let isInside = folder != nil && folder == FileIdentity(path: output)
        guard isOutput || isInside else { return }
        throw CheckpointError(
            file: path, "is the output or inside it", hint: "the default path is beside the output")
    }

    /// Writes a manifest.
    package static func write(
        _ manifest: Manifest, to path: String, replaces: Bool
    ) throws(CheckpointError) {
        try SmallFile.write(Array(manifest.text.utf8), to: path, replaces: replaces)
    }
}
