/// Writing of manifests.
package enum ManifestFile {
    /// Throws when a manifest cannot be written to a path: like any output, and never over an input.
    package static func check(
        _ path: String, replaces: Bool, for checkpoint: Checkpoint
    ) throws(CheckpointError) {
        try checkpoint.refuseAsOutput(path)
        try WholeFile.check(path, replaces: replaces)
    }

    /// Refuses a path for a manifest that is the output or inside it, because the output gets its name only when it is
    /// complete.
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
        try WholeFile.write(Array(manifest.text.utf8), to: path, replaces: replaces)
    }
}
