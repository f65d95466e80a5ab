internal import Formats

extension GGUF {
    /// Opens a file on disk, or all shards when it is one of them.
    static func open(_ file: MappedFile) throws(CheckpointError) -> Checkpoint {
        try open(file, in: DiskFolder(beside: file.path))
    }

    /// Opens a file of a folder, or all shards when it is one of them.
    static func open(
        _ file: any FileImage, in folder: any FileFolder
    ) throws(CheckpointError) -> Checkpoint {
        let contents = try read(file)
        var checkpoint = Checkpoint(
            path: file.path, container: .gguf(contents.metadata), tensors: contents.tensors, sources: [file.mappedFile])
        if let count = contents.metadata["split.count"]?.int, count > 1 {
            try join(&checkpoint, shards: count, opened: file, in: folder)
        }
        checkpoint.content = Checkpoint.Content(checkpoint.metadata)
        checkpoint.architecture = Architecture.describing(checkpoint)
        return checkpoint
    }

    /// Reads the other shards; the metadata is the first one's, without the keys of the split.
    private static func join(
        _ checkpoint: inout Checkpoint, shards: Int, opened: any FileImage, in folder: any FileFolder
    ) throws(CheckpointError) {
        let number = checkpoint.metadata["split.no"]?.int ?? 0
        guard shards <= maximumShards, 0..<shards ~= number else {
            throw CheckpointError(
                file: opened.path,
                "has the number \(number.grouped) among \(shards.grouped) shards, counted from 0; at most "
                    + "\(maximumShards.grouped) shards are read")
        }
        let suffix = shardSuffix(number, of: shards)
        guard opened.path.hasSuffix(suffix) else {
            throw CheckpointError(
                file: opened.path,
                "is shard \(number + 1) of \(shards), but its name does not end with '\(suffix)'",
                hint: "shards are found by name; restore the original names")
        }
        let stem = String(opened.path.lastPathComponent.dropLast(suffix.count))
        var tensors: [Tensor] = []
        var sources: [MappedFile] = []
        var seen = NameSet(capacity: checkpoint.tensors.count)
        for shard in 0..<shards {
            let file = shard == number ? opened : try folder.image(stem + shardSuffix(shard, of: shards))
            let contents = try read(file)
            guard contents.metadata["split.no"]?.int == shard,
                contents.metadata["split.count"]?.int == shards
            else {
                throw CheckpointError(
                    file: file.path, "is not shard \(shard + 1) of \(shards), as its name states")
            }
            if shard == 0 { checkpoint.metadata = contents.metadata }
            for tensor in contents.tensors where !seen.insert(tensor.name) {
                throw CheckpointError(
                    file: file.path, tensor: tensor.name, "is in another shard too")
            }
            tensors += contents.tensors
            checkpoint.shardTensorCounts.append(contents.tensors.count)
            sources.append(file.mappedFile)
        }
        if let expected = checkpoint.metadata["split.tensors.count"]?.int, expected != tensors.count {
            throw CheckpointError(
                file: opened.path,
                "the shards have \(tensors.count) tensors; split.tensors.count is \(expected)")
        }
        for key in splitKeys { checkpoint.metadata[key] = nil }
        checkpoint.tensors = tensors
        checkpoint.sources = sources
    }
}
