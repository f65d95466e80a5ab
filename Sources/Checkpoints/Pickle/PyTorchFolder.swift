internal import Formats

/// HF folders with PyTorch weights, which are read when there is no safetensors file, as in transformers.
enum PyTorchFolder {
    static let indexName = "pytorch_model.bin.index.json"

    /// Whether a weight file of a folder is a PyTorch file by its name.
    static func holds(_ name: String) -> Bool { PyTorch.endings.contains(where: name.hasSuffix) }

    /// The tensors of a file of a folder.
    static func read(_ image: any FileImage) throws(CheckpointError) -> Safetensors.Contents {
        guard let file = image as? MappedFile else {
            throw CheckpointError(
                file: image.path, "is a PyTorch file in an archive, which is not read there", hint: "unpack it first")
        }
        return Safetensors.Contents(metadata: PyTorch.headerMetadata, tensors: try PyTorch.read(file))
    }
}

extension Checkpoint {
    /// Leaves out a tensor with the same bytes as an earlier one when the configuration ties embeddings: PyTorch writes
    /// both names, safetensors files of transformers and GGUF files only the first.
    mutating func dropTiedTensors() {
        guard isPyTorch, config?["tie_word_embeddings"] == .bool(true) else { return }
        struct Place: Hashable {
            let file: ObjectIdentifier
            let byteOffset: Int
            let shape: [Int]
            let dtype: DType
        }
        var seen: Set<Place> = []
        let isKept = tensors.map { tensor in
            guard let range = tensor.recipe.mappedRange, range.byteCount > 0 else { return true }
            let place = Place(
                file: ObjectIdentifier(range.file), byteOffset: range.byteOffset, shape: tensor.shape,
                dtype: tensor.dtype)
            return seen.insert(place).inserted
        }
        var shard = isKept[...]
        shardTensorCounts = shardTensorCounts.map { count in
            defer { shard = shard.dropFirst(count) }
            return shard.prefix(count).count { $0 }
        }
        tensors = zip(tensors, isKept).compactMap { $1 ? $0 : nil }
    }
}
