internal import Analysis
internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Surgery

/// What `shrink` makes of the layers that stay: the container and the type of the weights.
struct ShrinkGoal {
    private enum Target {
        case theirs
        case quantized(Quantize)
        case folder(QuantizeFolder)
    }

    private let target: Target
    private let output: OutputOptions
    private let inputs: QuantizeInputs
    private let mtp: PredictorChoice

    init(type: String?, inputs: QuantizeInputs, output: OutputOptions, mtp: PredictorChoice) throws {
        self.output = output
        self.inputs = inputs
        self.mtp = mtp
        guard let type else {
            target = .theirs
            return
        }
        if let folderType = FolderType(named: type) {
            guard inputs.suitFolders else {
                throw ValidationError(
                    "--imatrix and --allow-nonfinite do not apply to folder types: \(FolderType.names)")
            }
            target = .folder(QuantizeFolder(folderType))
            return
        }
        var settings = Quantize.Settings(try Mixture.asked(type))
        inputs.apply(to: &settings, matrix: try inputs.matrix())
        target = .quantized(Quantize(settings))
    }

    /// The name of the type; `nil` where weights keep theirs.
    var name: String? {
        switch target {
        case .theirs: nil
        case .folder(let quantization): quantization.type.rawValue
        case .quantized(let quantize): quantize.settings.mixture.name
        }
    }

    /// The edits before the quantization, and the quantization.
    private func edits(for checkpoint: Checkpoint) throws -> (before: [any Edit], last: (any Edit)?) {
        let form = try output.form(for: checkpoint)
        switch target {
        case .theirs: return ([Convert(to: form)], nil)
        case .folder(let quantization): return ([Convert(to: form)], quantization)
        case .quantized(let quantize):
            let convert = Convert.beforeQuantization(of: checkpoint, to: form)
            return ([DequantizeFolder(to: .f32), convert], quantize)
        }
    }

    /// The output without some layers. An importance matrix is that of the whole model, so each remaining layer uses its old
    /// number.
    func edited(_ checkpoint: Checkpoint, without layers: LayerRuns) throws -> Checkpoint {
        var (before, last) = try edits(for: checkpoint)
        if case .quantized(let quantize) = target, let matrix = quantize.settings.importance?.matrix {
            var settings = quantize.settings
            settings.importance = Importance(matrix, dropped: layers)
            last = Quantize(settings)
        }
        let cut: [any Edit] = layers.isEmpty ? [] : [CutLayers(layers: layers)]
        before = mtp.edits + cut + before
        return try checkpoint.applying(before + (last.map { [$0] } ?? []))
    }

    /// Checks the output before the slow steps.
    func check(_ checkpoint: Checkpoint, size: Int, _ write: WriteRun, _ common: CommonOptions) throws {
        guard try output.form(for: checkpoint) != .safetensors else {
            throw CheckpointError(
                file: output.output,
                "a single safetensors file has no configuration, so it cannot be run and evaluated",
                hint: "choose a folder or x.gguf")
        }
        let converted = try checkpoint.applying(try edits(for: checkpoint).before)
        switch target {
        case .theirs: break
        case .folder(let quantization):
            let plan = try quantization.plan(converted, threads: common.threadCount)
            try plan.check(quantization.type, of: checkpoint, inputs)
            common.noteObstacles(plan)
        case .quantized(let quantize):
            let whole = try quantize.apply(to: converted)
            common.noteUnmeasured(
                try quantize.unmeasured(from: converted, to: whole), in: quantize.settings.importance?.matrix)
        }
        // Any run of this size gives the names and the space; whether a run can be cut is checked later.
        guard let layers = SimpleRun.layers(size: size, of: checkpoint.layerCount) else { return }
        if let planned = try? edited(checkpoint, without: LayerRuns([layers])) { try write.check(planned) }
    }
}
