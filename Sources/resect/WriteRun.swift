internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// The last step of every command that writes: checks, writes or prints the plan, and reports it.
struct WriteRun {
    let output: OutputOptions
    let common: CommonOptions
    /// The layers that were cut; `nil` without a cut.
    var dropped: LayerRuns?
    /// Members that a command adds to the JSON output.
    var extra: [(String, JSON)] = []
    /// Whether the output keeps the shards of the input.
    var keepsShards = false
    /// Models and texts that are read: no output may replace them.
    var models: [Checkpoint] = [], texts: [String] = []
    /// Other files that the command writes beside the output.
    var others: [String?] = []
    /// The patch that is written of the output; `nil` without one.
    var patch: PatchRun?
    /// Whether `accept` has refused an output for what was measured, which JSON tells all the same.
    var isRefused: (() -> Bool)?
    /// Looks at the output before it gets its name; it gets none when this throws.
    var accept: ((Checkpoint) throws(CheckpointError) -> Void)?
    /// Gives more members of the JSON output, once the output is written.
    var measured: (() -> [(String, JSON)])?
    /// What the output says about how it was made; `nil` for what is no model.
    var provenance: ProvenanceRun?

    private var writer: CheckpointWriter {
        var writer = CheckpointWriter(replaces: output.force, threads: common.threadCount)
        writer.resumes = output.resume
        writer.syncs = !output.noSync
        writer.manifest = output.manifestPath
        return writer
    }

    private func plan(_ checkpoint: Checkpoint) throws -> OutputPlan {
        try OutputPlan(checkpoint, shardByteCount: output.shardSize?.byteCount, keepsShards: keepsShards)
    }

    /// Checks names, types and space before anything is computed.
    func check(_ checkpoint: Checkpoint) throws {
        try checkNames()
        let plan = try plan(checkpoint)
        try checkProvenance(checkpoint)
        try patch?.check()
        if output.dryRun { return }
        if output.isStream { try checkStream() } else { try writer.check(plan, path: output.output) }
    }

    /// Checks that no output replaces an input or another output.
    private func checkNames() throws(CheckpointError) {
        let main = output.dryRun ? nil : output.output
        let read = texts + (provenance?.others.map(\.path) ?? [])
        try OutputNames([main] + others + [patch?.path, output.manifestPath]).check(models: [], texts: read)
        try OutputNames(others + [patch?.path, output.manifestPath]).check(
            models: models + (provenance.map { [$0.model] } ?? []))
    }

    /// Checks that the output can say how its model was made, before slow work.
    func checkHistory(of model: Checkpoint) throws(CheckpointError) {
        if output.provenance != false { _ = try ProvenanceRun.history(of: model) }
    }

    /// Prints the notes of a checkpoint, then writes it or, for --dry-run, prints the plan.
    ///
    /// - Returns: the checkpoint, read back; `nil` for `--dry-run`.
    @discardableResult
    func write(_ checkpoint: Checkpoint) throws -> Checkpoint? {
        try checkNames()
        let plan = try plan(recorded(checkpoint))
        for text in notes(of: plan) { common.note(text) }
        if output.dryRun {
            describe(plan)
            return nil
        }
        if output.isStream {
            try stream(plan)
            return nil
        }
        let progress = Progress("write", unit: .bytes, quiet: common.quiet)
        var writer = writer
        writer.progress = { progress.report($0, $1) }
        var seconds = 0.0
        let written: Checkpoint
        do {
            written = try writer.write(plan, to: output.output) { (written) throws(CheckpointError) in
                progress.finish()
                seconds = progress.seconds
                try accept?(written)
            }
        } catch {
            if common.json, isRefused?() == true {
                var answer = summary(plan, seconds: seconds)
                for (key, value) in measured?() ?? [] { answer[key] = value }
                answer["written"] = .bool(false)
                Output.json(answer)
            }
            throw error
        }
        if !output.resume { ResumedFile.removeAll(beside: output.output) }
        let packed = try patch?.write(name(of: plan))
        if common.json {
            var answer = summary(plan, seconds: seconds)
            for (key, value) in packed?.json ?? [] { answer[key] = value }
            for (key, value) in measured?() ?? [] { answer[key] = value }
            Output.json(answer)
        } else {
            common.note(
                "wrote \(plan.placement == .folder ? "the folder " : "")\(name(of: plan)): "
                    + "\(layerText(written))\(counted(written.tensors.count, "tensor")), "
                    + "\(plan.byteCount.byteText)\(plan.shardCount > 1 ? " in \(plan.shardCount) shards" : "") in \(seconds.fixed(1)) s"
            )
            packed?.say(common)
        }
        return written
    }

    /// The checkpoint with what it says about how it was made.
    private func recorded(_ checkpoint: Checkpoint) throws -> Checkpoint {
        try checkProvenance(checkpoint)
        guard let provenance, checkpoint.content == .model else { return checkpoint }
        return try provenance.recorded(in: checkpoint, asked: output.provenance, dropped: dropped)
    }

    /// Refuses --provenance for what has no place for it.
    private func checkProvenance(_ checkpoint: Checkpoint) throws(CheckpointError) {
        guard output.provenance == true, checkpoint.content != .model else { return }
        throw CheckpointError(
            file: output.output, "would be \(checkpoint.content.name), and --provenance is for models")
    }

    /// The notes for the user: those of the checkpoint, and files of the input folder that are not in the output.
    private func notes(of plan: OutputPlan) -> [String] {
        let leftOut = plan.placement == .folder ? plan.checkpoint.leftOut : []
        guard !leftOut.isEmpty else { return plan.checkpoint.notes }
        let rest = leftOut.count > 8 ? " and \(leftOut.count - 8) more" : ""
        return plan.checkpoint.notes + ["left out of the output: \(leftOut.prefix(8).joined(separator: ", "))\(rest)"]
    }

    private func checkStream() throws {
        if common.json {
            throw ValidationError("--json and -o - both write to standard output; use only one")
        }
        if Output.isTerminal {
            throw CheckpointError(
                file: "standard output", "is a terminal, but a checkpoint is binary",
                hint: "redirect it to a file or another program")
        }
    }

    /// Writes to standard output, which cannot be read back, so only the layout is checked.
    private func stream(_ plan: OutputPlan) throws {
        try checkStream()
        try CheckpointStream(threads: common.threadCount) { (bytes) throws(CheckpointError) in
            try Output.sendChecked(bytes)
        }.write(plan)
        common.note(
            "wrote \(layerText(plan.checkpoint))\(counted(plan.checkpoint.tensors.count, "tensor")), "
                + "\(plan.byteCount.byteText) to standard output")
    }

    /// The number of layers of a model; an adapter or an importance matrix has none of its own.
    private func layerText(_ checkpoint: Checkpoint) -> String {
        switch checkpoint.content {
        case .adapter, .importanceMatrix: ""
        default: counted(checkpoint.layerCount, "layer") + ", "
        }
    }

    /// The path that opens the output: that of the first shard when there are several files.
    private func name(of plan: OutputPlan) -> String {
        guard plan.placement == .shards, let first = plan.files.first else { return output.output }
        return plan.path(of: first, in: output.output)
    }

    private func summary(_ plan: OutputPlan, seconds: Double?) -> JSONObject {
        var result = JSONObject([
            ("output", .string(name(of: plan))), ("byteCount", .int(plan.byteCount)),
            ("layers", .int(plan.checkpoint.layerCount)),
        ])
        result["manifest"] = output.manifestPath.map(JSON.string)
        result["dropped"] = dropped.map { .array($0.texts.map(JSON.string)) }
        result["parameters"] = .int(plan.checkpoint.modelParameterCount)
        result["tensors"] = .int(plan.checkpoint.tensors.count)
        if plan.shardCount > 1 { result["shards"] = .int(plan.shardCount) }
        let notes = notes(of: plan)
        if !notes.isEmpty { result["notes"] = .array(notes.map(JSON.string)) }
        result["seconds"] = seconds.map { .double(($0 * 1000).rounded() / 1000) }
        for (key, value) in extra { result[key] = value }
        return result
    }

    private func describe(_ plan: OutputPlan) {
        let tensors = plan.checkpoint.tensors
        if common.json {
            var result = summary(plan, seconds: nil)
            result["tensors"] = .array(
                tensors.map { tensor in
                    .object(
                        JSONObject([
                            ("name", .string(tensor.name)), ("dtype", .string(tensor.dtype.name)),
                            ("shape", .array(tensor.shape.map(JSON.int))), ("byteCount", .int(tensor.byteCount)),
                            ("bitsPerWeight", .double(tensor.dtype.bitsPerElement)),
                            ("recipe", .string(tensor.recipe.description)),
                        ]))
                })
            Output.json(result)
            return
        }
        var table = Table(["tensor", "type", "bits", "shape", "bytes", "from"])
        for tensor in tensors {
            table.add([
                tensor.name.escapingControls, tensor.dtype.name, tensor.dtype.bitsText, tensor.shapeText,
                tensor.byteCount.grouped, tensor.recipe.description.escapingControls,
            ])
        }
        table.print()
        Output.line(
            "\(name(of: plan)): \(plan.byteCount.grouped) bytes in \(counted(plan.files.count, "file")) would be written, "
                + "\(plan.checkpoint.bitsPerWeight.fixed(2)) bits per weight")
    }
}

extension DType {
    /// Bits per element without rounding: `4`, `6.5625`.
    fileprivate var bitsText: String {
        let text = "\(bitsPerElement)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}

extension Tensor {
    /// `2048x256`
    var shapeText: String { shape.isEmpty ? "scalar" : shape.map(String.init).joined(separator: "x") }
}
