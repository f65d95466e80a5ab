internal import Formats

extension Checkpoint {
    /// A checkpoint of tensors that a program makes, or takes from other checkpoints.
    ///
    ///     let model = try Checkpoint(named: "mine", container: .folder(.init(config: config)), tensors: tensors)
    ///     try CheckpointWriter(threads: 8).write(OutputPlan(model), to: "mine")
    ///
    /// - Parameters:
    ///   - name: what messages call it.
    ///   - container: a folder with its configuration and other files, the header of a single safetensors file, or the
    ///     metadata of a GGUF file.
    ///   - tensors: in the order in which they are written.
    ///   - sources: the `sources` of the checkpoints from which tensors are taken, so that none of them is written over.
    /// - Throws: when two tensors have the same name.
    public init(
        named name: String, container: Container, tensors: [Tensor], sources: [MappedFile] = []
    ) throws(CheckpointError) {
        if let repeated = NameSet.firstRepeated(in: tensors) {
            throw CheckpointError(file: name, tensor: repeated, "is there twice")
        }
        self.init(path: name, container: container, tensors: tensors, sources: sources)
        switch container {
        case .folder(let folder):
            content = Content(tensors)
            // Readers of an adapter look for a file of this name.
            if content != .model { weightsName = "adapter_model" }
            architecture = HuggingFaceFolder.architecture(of: folder.config)?.placed(in: tensors)
        case .gguf(let metadata):
            content = Content(metadata)
            architecture = Architecture.describing(self)
        case .safetensors: content = Content(tensors)
        }
    }
}
