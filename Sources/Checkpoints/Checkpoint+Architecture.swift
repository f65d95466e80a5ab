internal import Formats

extension Checkpoint {
    /// The error for an unknown architecture when it is required.
    ///
    /// - Parameters:
    ///   - consequence: what cannot be done: `so it cannot be run`.
    ///   - hint: what is possible instead.
    package func unknownArchitecture(_ consequence: String, hint: String? = nil) -> CheckpointError {
        let start = hint.map { $0 + "; " } ?? ""
        // A class with another head than the one that makes the logits of the next token.
        if let type = config?["model_type"]?.string, let name = config?["architectures"]?.array?.first?.string,
            let known = Architecture.named(modelType: type)
        {
            return CheckpointError(
                file: path, "the class '\(name)' is not a causal language model that resect knows, \(consequence)",
                hint: start + "known for the model type \(type): " + known.classes.joined(separator: " "))
        }
        let name = architectureName.map { "the architecture '\($0)' is unknown to resect" } ?? "states no architecture"
        return CheckpointError(
            file: path, "\(name), \(consequence)",
            hint: start + "resect formats lists the \(Architecture.all.count) that are known")
    }
}
