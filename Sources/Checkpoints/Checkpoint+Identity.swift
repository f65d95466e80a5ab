internal import Formats

extension Checkpoint {
    /// Everything that decides what the model computes, as text: its settings, where each tensor comes from, and the state of
    /// the files. The same text means the same values.
    package var identity: String {
        var text = "\(form)\n"
        switch container {
        case .folder(let folder): text += folder.config.map { JSON.object($0).compact } ?? ""
        case .safetensors: break
        case .gguf(let metadata):
            for pair in metadata.pairs { text += "\(pair.key)=\(Digest(of: Array("\(pair.value)".utf8)))\n" }
        }
        for file in companions { text += "\(file.name) \(Digest(of: file.contents))\n" }
        for tensor in tensors {
            text += "\(tensor.name) \(tensor.dtype) \(tensor.shape) \(Fingerprint(of: tensor.recipe).text)\n"
        }
        for source in sources { text += "\(source.state)\n" }
        return text
    }
}
