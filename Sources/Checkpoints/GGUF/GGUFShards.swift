internal import Formats

// A split consists of files in one folder: NAME-00001-of-00003.gguf and so on. The first one has the metadata; each
// states its number, the number of files, and the number of all tensors.

extension GGUF {
    /// The keys of a split.
    static let splitKeys = ["split.no", "split.tensors.count", "split.count"]
    /// The maximum of `split.count`, a 16-bit number.
    static let maximumShards = Int(UInt16.max)

    /// The end of a shard's name: `-00002-of-00003.gguf`.
    static func shardSuffix(_ number: Int, of count: Int) -> String { "-\(ShardName.part(number, of: count)).gguf" }

    /// Lays out a checkpoint as one or several files.
    ///
    /// - Parameter shards: the tensors of each file.
    static func layout(
        _ checkpoint: Checkpoint, shards: [[Tensor]]
    ) throws(CheckpointError) -> [OutputPlan.File] {
        guard checkpoint.metadata.architecture != nil || checkpoint.content == .importanceMatrix else {
            throw CheckpointError(
                file: checkpoint.path, "has no general.architecture, which a GGUF file needs")
        }
        guard shards.count > 1 else {
            return [
                try layout(checkpoint, tensors: checkpoint.tensors, metadata: checkpoint.metadata, name: "")
            ]
        }
        guard shards.count <= maximumShards, let tensorCount = Int32(exactly: checkpoint.tensors.count) else {
            throw CheckpointError(
                file: checkpoint.path,
                "would be split into \(shards.count.grouped) files; at most \(maximumShards.grouped) are possible",
                hint: "use a larger --shard-size")
        }
        var files: [OutputPlan.File] = []
        for (number, tensors) in shards.enumerated() {
            var metadata = number == 0 ? checkpoint.metadata : GGUFMetadata()
            // llama.cpp omits it in its splits and aligns their data to 32 bytes regardless of the first file.
            metadata["general.alignment"] = checkpoint.metadata["general.alignment"]
            for key in splitKeys { metadata[key] = nil }
            metadata["split.no"] = .u16(UInt16(number))
            metadata["split.tensors.count"] = .i32(tensorCount)
            metadata["split.count"] = .u16(UInt16(shards.count))
            files.append(
                try layout(
                    checkpoint, tensors: tensors, metadata: metadata, name: shardSuffix(number, of: shards.count)))
        }
        return files
    }

    /// Splits as llama-gguf-split does: a file ends before the tensor that would exceed the limit, counting each tensor
    /// with its padding to 32 bytes. Without a limit there is one file.
    static func split(_ tensors: [Tensor], limit: Int?) -> [[Tensor]] {
        guard let limit else { return [tensors] }
        var shards: [[Tensor]] = [[]]
        var size = 0
        for tensor in tensors {
            let byteCount = tensor.byteCount.aligned(to: defaultAlignment).value
            if size + byteCount > limit, shards.last?.isEmpty == false {
                shards.append([])
                size = 0
            }
            shards[shards.count - 1].append(tensor)
            size += byteCount
        }
        return shards
    }
}

/// The numbers in a shard's name.
package enum ShardName {
    /// The name of the whole for that of its first shard: x.gguf for x-00001-of-00003.gguf. Other names stay as they are.
    package static func whole(_ name: String) -> String {
        let parts = name.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count > 3, parts[parts.count - 2] == "of", parts[parts.count - 3] == "00001",
            let dot = parts[parts.count - 1].firstIndex(of: "."), Int(parts[parts.count - 1][..<dot]) != nil
        else { return name }
        return parts.dropLast(3).joined(separator: "-") + parts[parts.count - 1][dot...]
    }

    /// `00002-of-00003` for the second of three; `number` counts from 0.
    static func part(_ number: Int, of count: Int) -> String { "\(padded(number + 1))-of-\(padded(count))" }

    private static func padded(_ value: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
}
