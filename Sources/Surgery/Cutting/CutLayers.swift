public import Checkpoints
internal import Formats

/// Deletes layers and renumbers the others, together with all settings that depend on the layer number. It also cuts
/// adapters and importance matrices of the model.
///
/// Several runs are cut at once: only the result must be a valid model, not the model after each run.
public struct CutLayers: Edit {
    /// The layers to delete, counted from 0. Those after the decoder layers are modules for multi-token prediction.
    public let layers: LayerRuns

    /// Cuts runs of layers.
    public init(layers: LayerRuns) { self.layers = layers }

    /// Cuts one run of layers.
    public init(layers: Range<Int>) { self.init(layers: LayerRuns([layers])) }

    /// The checkpoint without the layers; an adapter or an importance matrix is adapted to the model without them.
    ///
    /// - Throws: when there is no layer to cut, a run is out of range, nothing remains, or a setting or a tensor cannot be
    ///   adapted.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard !layers.isEmpty else {
            throw CheckpointError(file: checkpoint.path, "no layers to cut were given")
        }
        switch checkpoint.content {
        case .adapter: return try AdapterCut(layers: layers).apply(to: checkpoint)
        case .importanceMatrix: return try ImportanceCut(layers: layers).apply(to: checkpoint)
        default: try checkpoint.requireModel()
        }
        return try apply(to: WholeModel(checkpoint))
    }

    /// The model without the layers.
    func apply(to whole: WholeModel) throws(CheckpointError) -> Checkpoint {
        let checkpoint = whole.checkpoint
        let cut = try cut(of: checkpoint)
        var result = checkpoint
        var kinds: [[JSON]] = [], widths: [String: Int] = [:]
        if checkpoint.form == .gguf, let architecture = checkpoint.metadata.architecture {
            var settings = MetadataCut(layers: cut, architecture: architecture)
            result.metadata = try settings.apply(to: checkpoint.metadata)
            kinds = settings.kinds
            for slice in LayerSettings.known.slices {
                if let width = checkpoint.metadata.setting(slice.width)?.int { widths[slice.width] = width }
            }
        } else if let config = checkpoint.config {
            var settings = ConfigCut(layers: cut, choice: LayerChoice(checkpoint))
            settings.modules = { LayerModule.all(in: checkpoint, cut) }
            settings.storesByLayer = { part in checkpoint.tensors.contains { $0.name.hasSuffix("." + part) } }
            result.config = try settings.apply(to: config)
            (kinds, widths) = (settings.kinds, settings.widths)
            result.companions = try companions(checkpoint, cut)
        }
        let goesByTensors =
            checkpoint.form == .gguf
            && LayerSettings.known.tensorsDecide.contains(checkpoint.metadata.architecture ?? "")
        if cut.decoderCut > 0, !goesByTensors {
            try whole.signatures(cut.pattern).check(kinds: kinds)
        }
        // Check before renumbering, so that the message names a missing tensor by its name in the input.
        try whole.completeness.get()
        result.tensors = try tensors(checkpoint, cut, LayerSlices(layers: cut, widths: widths))
        SizeLabel.update(&result, was: checkpoint)
        try result.checkPlans(of: whole, cut)
        return result
    }

    /// The cut, if the runs are valid for the layers.
    private func cut(of checkpoint: Checkpoint) throws(CheckpointError) -> LayerCut {
        guard let pattern = try checkpoint.layers() else {
            throw CheckpointError(
                file: checkpoint.path, "has no tensors named <prefix>.<number>.<suffix>, so no layers to cut")
        }
        try layers.check(count: pattern.count, file: checkpoint.path)
        let cut = LayerCut(pattern: pattern, cut: layers, file: checkpoint.path)
        guard cut.countAfter > 0 else {
            throw CheckpointError(file: checkpoint.path, "the range \(layers.text) is all \(cut.count) layers")
        }
        return cut
    }

    private func tensors(
        _ checkpoint: Checkpoint, _ cut: LayerCut, _ slices: LayerSlices
    ) throws(CheckpointError) -> [Tensor] {
        let shared = SharedParts(checkpoint, cut)
        try shared.check()
        let lists = try ListsOutside(checkpoint, cut)
        var result: [Tensor] = []
        result.reserveCapacity(checkpoint.tensors.count)
        for tensor in checkpoint.tensors {
            guard let layer = cut.pattern.layer(of: tensor.name) else {
                guard let name = try lists.followed(tensor.name) else { continue }
                var followed = try slices.apply(to: tensor)
                if name != followed.name { followed.name = name }
                result.append(followed)
                continue
            }
            var kept = cut.renumbered(layer)
            if kept == nil, let suffix = cut.pattern.suffix(of: tensor.name) {
                kept = shared.heir(of: suffix).flatMap(cut.renumbered)
            }
            guard let kept else { continue }
            var tensor = tensor
            tensor.name = cut.pattern.renumber(tensor.name, to: kept)
            result.append(tensor)
        }
        return result
    }

    /// Adapts module names in the quantizers' files beside `config.json`.
    private func companions(_ checkpoint: Checkpoint, _ cut: LayerCut) throws(CheckpointError) -> [Checkpoint.Companion]
    {
        let names: Set<String> = ["quantize_config.json", "quant_config.json", "hf_quant_config.json"]
        var result = checkpoint.companions
        for index in result.indices where names.contains(result[index].name) {
            let path = checkpoint.path + "/" + result[index].name
            let value = JSON.object(try FileSystem.json(result[index].contents, path: path))
            let modules = ModuleNames(
                layers: cut, stacks: LayerChoice(checkpoint).stacks, modules: { LayerModule.all(in: checkpoint, cut) })
            let renamed = try modules.renamed(value)
            if renamed != value { result[index].contents = Array(renamed.pretty.utf8) }
        }
        return result
    }
}
