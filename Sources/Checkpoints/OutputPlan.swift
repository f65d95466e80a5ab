internal import Formats

/// The whole layout of an output, known before its first byte: every file, header and offset.
public struct OutputPlan: Sendable {
    /// One file of the output.
    public struct File: Sendable {
        /// Its name in the output folder; empty when the output is this one file.
        public let name: String
        /// The bytes at its start.
        let header: [UInt8]
        /// The tensors with their places in the file; gaps between them are zero.
        let tensors: [(tensor: Tensor, byteOffset: Int)]
        /// The size of the file.
        public let byteCount: Int
    }

    /// The kind of output.
    public let form: Checkpoint.Form
    /// The files, weights first.
    public let files: [File]
    /// The checkpoint that is laid out.
    public let checkpoint: Checkpoint

    /// The bytes of all files together.
    public var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }

    /// Lays out a checkpoint in its own form.
    ///
    /// - Throws: when a tensor cannot be stored in that form.
    public init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        self.checkpoint = checkpoint
        form = checkpoint.form
        switch checkpoint.form {
        case .gguf: files = [try GGUF.layout(checkpoint)]
        case .safetensors: files = [try Safetensors.layout(checkpoint, name: "")]
        case .folder:
            var files = [try Safetensors.layout(checkpoint, name: "model.safetensors")]
            for companion in checkpoint.companions {
                files.append(OutputPlan.plain(companion.name, companion.contents))
            }
            if let config = checkpoint.config {
                files.append(OutputPlan.plain("config.json", Array(JSON.object(config).pretty.utf8)))
            }
            self.files = files
        }
    }

    private static func plain(_ name: String, _ contents: [UInt8]) -> File {
        File(name: name, header: contents, tensors: [], byteCount: contents.count)
    }

    /// The form that an output's name asks for: `x.gguf`, `x.safetensors`, anything else a folder.
    public static func form(ofPath path: String) -> Checkpoint.Form {
        if path.hasSuffix(".gguf") { return .gguf }
        return path.hasSuffix(".safetensors") ? .safetensors : .folder
    }

    /// Everything that the bytes of the output follow from, in words: the files, and where each tensor comes from.
    var identity: String {
        var text = "\(form)\n"
        for file in files {
            text += "\(file.name) \(file.byteCount) \(Digest(of: file.header))\n"
            for (tensor, byteOffset) in file.tensors { text += "\(byteOffset) \(tensor.dtype) \(tensor.recipe)\n" }
        }
        for source in checkpoint.sources { text += "\(source.state)\n" }
        return text
    }
}
