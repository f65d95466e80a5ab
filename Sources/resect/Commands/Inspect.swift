internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The `inspect` command.
struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show the contents of a checkpoint: layers, sizes, types, metadata.",
        discussion: """
            Only headers are read. With --json: {"format", "architecture", "layers", "parameters", "byteCount", \
            "metadata": {…}, "tensors": [{"name", "dtype", "shape", "byteCount", "file"}]}; metadata arrays of more than \
            64 elements are replaced by {"count": n}.
            """)

    @OptionGroup var model: ModelArgument
    @OptionGroup(title: "General") var common: CommonOptions

    @Flag(name: .long, help: "List every tensor.")
    var tensors = false

    @Flag(name: .long, help: "List all metadata.")
    var metadata = false

    private static let longestArray = 64

    func run() throws {
        let checkpoint = try model.open()
        for note in checkpoint.notes { common.note(note) }
        if common.json { return Output.json(json(checkpoint)) }
        summarize(checkpoint)
        if metadata {
            Output.line()
            for (key, value) in pairs(checkpoint).members {
                Output.line("\(key): \(value.compact)".escapingControls)
            }
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

    private func summarize(_ checkpoint: Checkpoint) {
        let name = checkpoint.architectureName ?? "not stated"
        Output.line("format        \(format(checkpoint)), \(counted(checkpoint.sources.count, "file"))")
        Output.line("architecture  \(name)\(remark(on: checkpoint))".escapingControls)
        Output.line("layers        \(layers(checkpoint))".escapingControls)
        // To count them takes as long as to read the header.
        let parameters = checkpoint.modelParameterCount
        Output.line("parameters    \(parameters.countText) in \(counted(checkpoint.tensors.count, "tensor"))")
        Output.line(
            "bytes         \(checkpoint.byteCount.byteText), "
                + "\(checkpoint.bitsPerWeight(of: parameters).fixed(2)) bits per weight")
        Output.line("metadata      \(counted(pairs(checkpoint).count, "entry", "entries"))")
        var byType: [(DType, count: Int, bytes: Int)] = []
        for (dtype, byteCount) in checkpoint.tensors.lazy.map({ ($0.dtype, $0.byteCount) }) {
            if let index = byType.firstIndex(where: { $0.0 == dtype }) {
                byType[index].count += 1
                byType[index].bytes += byteCount
            } else {
                byType.append((dtype, 1, byteCount))
            }
        }
        Output.line()
        var table = Table(["type", "tensors", "bytes"])
        for (dtype, count, bytes) in byType { table.add([dtype.name, count.grouped, bytes.grouped]) }
        table.print()
    }

    /// What resect cannot do with the checkpoint.
    private func remark(on checkpoint: Checkpoint) -> String {
        if checkpoint.content != .model { return " (\(checkpoint.content.name))" }
        return checkpoint.architecture == nil ? " (resect can cut but not run it)" : ""
    }

    /// The number of layers, or why it is unknown.
    private func layers(_ checkpoint: Checkpoint) -> String {
        do {
            guard let pattern = try checkpoint.layers() else { return "0" }
            let extra = pattern.predictorCount > 0 ? ", and \(pattern.predictorCount) for multi-token prediction" : ""
            return "\(pattern.decoderCount)\(extra)"
        } catch {
            return error.problem
        }
    }

    /// The name of the container; a single PyTorch file is handled like safetensors but has its own name.
    private func format(_ checkpoint: Checkpoint) -> String {
        checkpoint.isPyTorch && checkpoint.form == .safetensors ? "pytorch" : checkpoint.form.rawValue
    }

    /// The number of layers; `null` when unknown.
    private func layerCount(_ checkpoint: Checkpoint) -> JSON {
        do { return .int(try checkpoint.layers()?.decoderCount ?? 0) } catch { return .null }
    }

    private func json(_ checkpoint: Checkpoint) -> JSONObject {
        JSONObject([
            ("format", .string(format(checkpoint))),
            ("architecture", checkpoint.architectureName.map(JSON.string) ?? .null),
            ("layers", layerCount(checkpoint)), ("parameters", .int(checkpoint.modelParameterCount)),
            ("byteCount", .int(checkpoint.byteCount)), ("metadata", .object(pairs(checkpoint))),
            (
                "tensors",
                .array(
                    checkpoint.tensors.map { tensor in
                        .object(
                            JSONObject([
                                ("name", .string(tensor.name)), ("dtype", .string(tensor.dtype.name)),
                                ("shape", .array(tensor.shape.map(JSON.int))),
                                ("byteCount", .int(tensor.byteCount)),
                                ("file", tensor.recipe.fileName.map(JSON.string) ?? .null),
                            ]))
                    })
            ),
        ])
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
