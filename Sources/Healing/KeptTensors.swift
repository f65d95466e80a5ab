internal import Checkpoints
internal import Formats

/// Tensors in a file that an interrupted run leaves; the header says what decided them, and what else is known.
struct KeptTensors {
    private static let key = "resect.heal"
    /// What decides the tensors.
    let identity: String
    let path: String

    /// The file, and what else its header holds; `nil` without a file, and where something else decided the tensors.
    ///
    /// - Throws: when the file cannot be read.
    func read() throws(CheckpointError) -> (file: Checkpoint, header: JSON)? {
        guard FileSystem.kind(of: path) != .missing else { return nil }
        let file = try Checkpoint.open(path)
        guard case .safetensors(let metadata) = file.container, let text = metadata?[KeptTensors.key]?.string,
            let header = try? JSON.parse(text), header["identity"]?.string == identity
        else { return nil }
        return (file, header)
    }

    /// Writes the file.
    ///
    /// - Parameters:
    ///   - files: the files that the tensors are in.
    ///   - rest: what else the header holds.
    func write(
        _ tensors: [Tensor], in files: [MappedFile], _ rest: [(String, JSON)] = [], threads: Int
    ) throws(CheckpointError) {
        let object = JSONObject([("identity", .string(identity))] + rest)
        let header = JSONObject([(KeptTensors.key, .string(JSON.object(object).compact))])
        // Not the name of the file: an older one of that name would be taken for the input.
        let file = try Checkpoint(
            named: KeptTensors.key, container: .safetensors(header: header), tensors: tensors, sources: files)
        try CheckpointWriter(replaces: true, threads: threads).write(OutputPlan(file), to: path)
    }

    private static let ending = ".safetensors"

    /// The path of a file that is one of many.
    ///
    /// - Parameters:
    ///   - prefix: what the paths of all of them begin with.
    ///   - name: what tells this one from the others.
    static func path(_ prefix: String, _ name: String) -> String { prefix + name + ending }

    /// The files that `path` names, and that are there.
    static func paths(_ prefix: String) -> [String] {
        let (folder, start) = (prefix.deletingLastPathComponent, prefix.lastPathComponent)
        // A folder that cannot be listed holds nothing that any run has written.
        let names = (try? FileSystem.names(in: folder, hidden: true)) ?? []
        return names.filter { $0.hasPrefix(start) && $0.hasSuffix(ending) }.map { folder + "/" + $0 }
    }

    /// Removes these files, whatever they hold.
    static func removeAll(_ prefix: String) { for path in paths(prefix) { WholeFile.remove(path) } }
}
