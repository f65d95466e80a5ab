public import Checkpoints
internal import Formats

/// Deletes layers and renumbers the rest, with everything that depends on the layer number. Adapters and importance matrices
/// of the model follow in the same way.
///
/// Several runs are cut at once: what has to hold for the layers that stay need not hold after a part of the cut.
public struct CutLayers: Edit {
    /// The layers to delete, counted from 0. Those behind the decoder's are modules for multi-token prediction.
    public let layers: LayerRuns

    /// A cut of some runs of layers.
    public init(layers: LayerRuns) { self.layers = layers }

    /// A cut of one run of layers.
    public init(layers: Range<Int>) { self.init(layers: LayerRuns([layers])) }

    /// The checkpoint without the layers; of an adapter or an importance matrix that for the model without the layers.
    ///
    /// - Throws: when there is no layer to cut, a run is out of range or everything, or when a setting or a tensor cannot follow.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        guard !layers.isEmpty else {
            throw CheckpointError(file: checkpoint.path, "no layer is named that could be cut")
        }
        switch checkpoint.content {
        case .adapter: return try AdapterCut(layers: layers).apply(to: checkpoint)
        case .importanceMatrix: return try ImportanceCut(layers: layers).apply(to: checkpoint)
        default: try checkpoint.requireModel()
        }
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
            settings.storesByLayer = { part in checkpoint.tensors.contains { $0.name.hasSuffix("." + part) } }
            result.config = try settings.apply(to: config)
            (kinds, widths) = (settings.kinds, settings.widths)
            result.companions = try companions(checkpoint, cut)
        }
        let goesByTensors =
            checkpoint.form == .gguf
            && LayerSettings.known.tensorsDecide.contains(checkpoint.metadata.architecture ?? "")
        if cut.decoderCut > 0, !goesByTensors {
            try LayerSignatures(checkpoint, cut.pattern).check(kinds: kinds)
        }
        // Before layers get other numbers, so that a missing tensor has the name that it should have.
        if checkpoint.hasKnownNames { try checkpoint.checkCompleteness() }
        result.tensors = try tensors(checkpoint, cut, LayerSlices(layers: cut, widths: widths))
        SizeLabel.update(&result, was: checkpoint)
        try result.checkPlans(of: checkpoint, cut)
        return result
    }

    /// The cut, when the runs fit the layers.
    private func cut(of checkpoint: Checkpoint) throws(CheckpointError) -> LayerCut {
        guard let pattern = try checkpoint.layers() else {
            throw CheckpointError(
                file: checkpoint.path, "has no tensors named <prefix>.<number>.<suffix>, so no layers to cut")
        }
        let count = pattern.count
        if let run = layers.runs.first(where: { $0.lowerBound < 0 || $0.upperBound > count }) {
            throw CheckpointError(
                file: checkpoint.path,
                "the layers \(run.lowerBound):\(run.upperBound) are out of range; there are \(count) (0:\(count))")
        }
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

    /// The files of quantizers beside `config.json`, whose lists name modules too.
    private func companions(_ checkpoint: Checkpoint, _ cut: LayerCut) throws(CheckpointError) -> [Checkpoint.Companion]
    {
        let names: Set<String> = ["quantize_config.json", "quant_config.json", "hf_quant_config.json"]
        var result = checkpoint.companions
        for place in result.indices where names.contains(result[place].name) {
            guard let value = try? JSON.parse(String(decoding: result[place].contents, as: UTF8.self)) else { continue }
            let modules = ModuleNames(layers: cut, stacks: LayerChoice(checkpoint).stacks)
            let renamed = try modules.renamed(value)
            if renamed != value { result[place].contents = Array(renamed.pretty.utf8) }
        }
        return result
    }
}
