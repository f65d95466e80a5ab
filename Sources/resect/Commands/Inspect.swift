internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `inspect` command.
struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the contents of a checkpoint: sizes, layers, types, metadata, and what can be done with it.",
        discussion: """
            Only headers and settings are read. --explain says which names, settings and shapes resect does not know, \
            and what still works.

            With --json: {"format", "architecture", "layers", "parameters", "byteCount", "metadata": {…}, "model": \
            {"license", "context", "slidingWindow", "hiddenSize", "feedForwardSize", "heads", "keyValueHeads", "headSize", \
            "experts", "expertsUsed", "vocabulary", "tiedOutput"}, "layerByteCounts": […], "kinds": [{"name", "tensors", \
            "elements", "byteCount"}], "abilities": {"run": {"possible", "reason"}, "gguf", "folder", "heal", "train", \
            "tokenize"}, "tensors": [{"name", "dtype", "shape", "byteCount", "file"}]}. Metadata arrays of more than 64 \
            elements are replaced by {"count": n}; a size that differs from layer to layer is a list. With --explain \
            also the abilities "cut" and "quantize", and "explanation": {"compared", "known", "kinds", "knownKinds", \
            "names", "problems", "unreadKeys"}.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "General") var common: CommonOptions

    @Flag(name: .long, help: "List every tensor.")
    var tensors = false

    @Flag(name: .long, help: "List all metadata.")
    var metadata = false

    @Flag(name: .long, help: "Say which parts of the model resect does not know, and what still works.")
    var explain = false

    private static let longestArray = 64

    func run() throws {
        let checkpoint = try model.open()
        for note in checkpoint.notes { common.note(note) }
        let overview = ModelOverview(checkpoint, explains: explain)
        if common.json {
            let object = json(overview)
            if let problem = MappedFiles.problem { throw problem }
            return Output.json(object, "tensors", checkpoint.tensors, write: write)
        }
        let pairs = pairs(checkpoint)
        for line in overview.lines(entries: pairs.count) { Output.line(line) }
        for table in checkpoint.tensors.isEmpty ? [] : [overview.types, overview.kinds] {
            Output.line()
            table.print()
        }
        if explain { ExplanationReport(checkpoint).print() }
        if metadata {
            Output.line()
            for (key, value) in pairs.members { Output.line("\(key): \(value.compact)".escapingControls) }
        }
        if tensors {
            Output.line()
            var table = Table(["tensor", "type", "shape", "bytes"])
            for tensor in checkpoint.tensors {
                table.add([
                    tensor.name.escapingControls, tensor.dtype.name, tensor.shapeText, tensor.byteCount.grouped,
                ])
            }
            table.print()
        }
    }

    private func json(_ overview: ModelOverview) -> JSONObject {
        let checkpoint = overview.checkpoint
        let layers: JSON =
            switch overview.layers {
            case .success(let pattern): .int(pattern?.decoderCount ?? 0)
            case .failure: .null
            }
        var members: [(String, JSON)] = [
            ("format", .string(overview.format)),
            ("architecture", checkpoint.architectureName.map(JSON.string) ?? .null), ("layers", layers),
            ("parameters", .int(checkpoint.modelParameterCount)), ("byteCount", .int(checkpoint.byteCount)),
            ("metadata", .object(pairs(checkpoint))),
        ]
        members += overview.json
        if explain { members.append(("explanation", ExplanationReport(checkpoint).json)) }
        return JSONObject(members)
    }

    /// Adds a tensor to the list of the JSON output.
    private func write(_ tensor: Tensor, to writer: inout JSONWriter) {
        writer.add(json: #"{"name":"#)
        writer.write(tensor.name)
        writer.add(json: #","dtype":"#)
        writer.write(tensor.dtype.name)
        writer.add(json: #","shape":["#)
        for (index, length) in tensor.shape.enumerated() {
            if index > 0 { writer.add(json: ",") }
            writer.add(length)
        }
        writer.add(json: #"],"byteCount":"#)
        writer.add(tensor.byteCount)
        writer.add(json: #","file":"#)
        if let file = tensor.recipe.fileName { writer.write(file) } else { writer.add(json: "null") }
        writer.add(json: "}")
    }

    /// The metadata of the container: GGUF metadata, config.json, or a safetensors header.
    private func pairs(_ checkpoint: Checkpoint) -> JSONObject {
        switch checkpoint.container {
        case .gguf(let metadata):
            JSONObject(metadata.pairs.map { ($0.key, $0.value.json(longest: Inspect.longestArray)) })
        case .folder(let folder): folder.config ?? JSONObject()
        case .safetensors(let header): header ?? JSONObject()
        }
    }
}
