internal import Checkpoints
internal import Kernels

/// What `resect --version` prints.
enum VersionText {
    static var text: String {
        let commit = Release.commit.map { "commit \($0)" } ?? "commit unknown: built without git"
        let sets = InstructionSet.available.map { "\($0)" }.joined(separator: " ")
        let libraries = Release.libraries.map { "\($0.name) \($0.version)" }.joined(separator: ", ")
        return """
            resect \(Release.version) (\(commit))
            instruction set: \(InstructionSet.best) (available: \(sets))
            libraries: \(libraries)
            """
    }
}
