extension Checkpoint {
    /// Throws when a path is a file that the checkpoint was read from, also through links: no output may replace it.
    ///
    /// Beside the files with tensors these are config.json, indices, and the companions of a folder.
    package func refuseAsOutput(_ path: String) throws(CheckpointError) {
        guard let identity = FileIdentity(path: path) else { return }
        let names = Checkpoint.configurationNames + companions.map(\.name)
        let isInput =
            sources.contains { $0.identity == identity }
            || names.contains { FileIdentity(path: self.path + "/" + $0) == identity }
        if isInput { throw .isInput(path) }
    }

    private static let configurationNames = [
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
        "model.safetensors.index.json", "pytorch_model.bin.index.json", "adapter_config.json",
    ]
}

extension CheckpointError {
    /// The error for an output that would replace a file that is read.
    package static func isInput(_ path: String) -> CheckpointError {
        CheckpointError(file: path, "is the input", hint: "write to another name")
    }
}
