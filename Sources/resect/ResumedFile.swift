internal import Checkpoints
internal import Healing

/// Files beside an output from which `--resume` continues.
enum ResumedFile: String {
    /// What was measured.
    case measures
    /// The state of a training.
    case training

    /// The path, a hidden sibling of the output.
    func path(beside output: String) -> String {
        let path = FileSystem.absolute(output)
        return path.deletingLastPathComponent + "/." + path.lastPathComponent + ".resect-" + rawValue
    }

    /// Removes what an earlier run has left for an output that is complete now.
    static func removeAll(beside output: String) {
        Measures.remove(at: measures.path(beside: output))
        LoRATraining.removeState(at: training.path(beside: output))
    }
}

extension CommonOptions {
    /// What an earlier run of the command has measured, and what this one will.
    ///
    /// - Returns: `nil` without --resume.
    func measures(of model: Checkpoint, beside output: OutputOptions) throws(CheckpointError) -> Measures? {
        // A plan leaves no file.
        output.dryRun ? nil : try measures(of: model, beside: output.output, resumes: output.resume)
    }

    /// What an earlier run has measured for an output, and what this one will.
    func measures(of model: Checkpoint, beside output: String, resumes: Bool) throws(CheckpointError) -> Measures? {
        guard resumes else { return nil }
        let measures = try Measures(at: ResumedFile.measures.path(beside: output), of: model)
        let found = [(measures.count, "measurement"), (measures.fitCount, "fit")].filter { $0.0 > 0 }
        if !found.isEmpty {
            note("continues with \(found.map { counted($0.0, $0.1) }.joined(separator: " and ")) of an interrupted run")
        }
        return measures
    }
}
