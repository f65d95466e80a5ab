internal import Checkpoints
internal import Formats

/// The container that the extension of an output name selects.
enum OutputEnding {
    /// Extensions of files that resect does not write, with the likely intended one.
    private static let others: [String: Set<String>] = [
        "gguf": ["ggml", "ggjt", "ggla", "gg", "llamafile", "resect"],
        "safetensors": [
            "bin", "pt", "pth", "ckpt", "pkl", "pickle", "st", "h5", "msgpack", "npz", "npy", "onnx", "pb", "tflite",
            "mlmodel", "sft", "mlx", "zip", "7z", "tar", "gz", "tgz", "zst", "json", "yaml", "csv", "txt", "log", "md",
            "exe",
            "bak", "tmp",
        ],
    ]

    /// The container for a name: `x.gguf` and `x.safetensors`, ignoring case; anything else is a folder.
    ///
    /// - Throws: for extensions of other file types and for misspelt ones.
    static func form(of path: String) throws(CheckpointError) -> Checkpoint.Form {
        let form = OutputPlan.form(ofPath: path)
        guard form == .folder, !path.hasSuffix("/"), let near = nearEnding(of: path) else { return form }
        let ending = ending(of: path)
        let stem = String(path.dropLast(ending.count + 1))
        let name = OutputPlan.form(ofPath: stem) == .folder ? "\(stem).\(near)" : stem
        let meaning = ending.lowercased() == "resect" ? "; resect pack writes archives" : ""
        throw CheckpointError(
            file: path, "'.\(ending)' is not an extension of an output: x.gguf, x.safetensors, or a folder\(meaning)",
            hint: "name it \(name), or use --format folder, safetensors or gguf")
    }

    /// The text after the last dot of a name; empty without a dot.
    private static func ending(of path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return "" }
        return String(name[name.index(after: dot)...])
    }

    /// The likely intended extension; `nil` for the name of a folder, such as `llama-3.2-1b`.
    private static func nearEnding(of path: String) -> String? {
        let ending = ending(of: path).lowercased()
        return [("gguf", 1), ("safetensors", 3)].first { known, limit in
            others[known]?.contains(ending) == true || NearName.distance(Array(ending.utf8), Array(known.utf8)) <= limit
        }?.0
    }
}
