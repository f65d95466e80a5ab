internal import Formats

// A sharded folder has files model-00001-of-00003.safetensors and so on, and an index from tensors to
// files.

extension Safetensors {
    /// The maximum of the five digits in a shard's name.
    static let maximumShards = 99_999

    /// Lays out the weights of a folder as one file, or as several.
    ///
    /// - Parameter shards: the tensors of each file.
    /// - Returns: the files, and the index when there are several, or when MLX reads them.
    static func shardedLayout(
        _ checkpoint: Checkpoint, shards: [[Tensor]]
    ) throws(CheckpointError) -> (files: [OutputPlan.File], index: JSONObject?) {
        guard shards.count > 1 else {
            let name = checkpoint.weightsName + ".safetensors"
            // mlx-lm writes an index for one file of a model too.
            let isMLX = checkpoint.content == .model && checkpoint.headerMetadata?["format"] == .string("mlx")
            return (
                [try layout(checkpoint, tensors: checkpoint.tensors, name: name)],
                isMLX ? index(checkpoint, checkpoint.tensors.map { ($0.name, name) }) : nil
            )
        }
        guard shards.count <= maximumShards else {
            throw CheckpointError(
                file: checkpoint.path,
                "would be split into \(shards.count.grouped) files; at most \(maximumShards.grouped) are possible",
                hint: "name a larger --shard-size")
        }
        var files: [OutputPlan.File] = []
        var places: [(tensor: String, file: String)] = []
        for (number, tensors) in shards.enumerated() {
            let name = "model-\(ShardName.part(number, of: shards.count)).safetensors"
            files.append(try layout(checkpoint, tensors: tensors, name: name))
            for tensor in tensors { places.append((tensor.name, name)) }
        }
        return (files, index(checkpoint, places))
    }

    /// The index as transformers writes it, sorted by name.
    private static func index(_ checkpoint: Checkpoint, _ places: [(tensor: String, file: String)]) -> JSONObject {
        let sorted = places.sorted { $0.tensor.utf8.lexicographicallyPrecedes($1.tensor.utf8) }
        return JSONObject([
            (
                "metadata",
                .object(
                    JSONObject([
                        ("total_parameters", .int(checkpoint.parameterCount)),
                        ("total_size", .int(checkpoint.byteCount)),
                    ]))
            ), ("weight_map", .object(JSONObject(sorted.map { ($0.tensor, .string($0.file)) }))),
        ])
    }

    /// Splits as huggingface_hub does: a tensor above the limit gets its own file, before the current one; otherwise a
    /// file ends before the tensor that would exceed the limit. Without a limit there is one file.
    static func split(_ tensors: [Tensor], limit: Int?) -> [[Tensor]] {
        guard let limit else { return [tensors] }
        var shards: [[Tensor]] = []
        var current: [Tensor] = []
        var size = 0
        for tensor in tensors {
            if tensor.byteCount > limit {
                shards.append([tensor])
                continue
            }
            if size + tensor.byteCount > limit {
                shards.append(current)
                (current, size) = ([], 0)
            }
            current.append(tensor)
            size += tensor.byteCount
        }
        return current.isEmpty ? shards : shards + [current]
    }
}
