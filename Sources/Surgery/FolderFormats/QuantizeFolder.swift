public import Checkpoints
internal import Formats

/// Options of a format; `nil` is the default.
public struct FolderQuantizationSettings: Sendable {
    /// The number of elements that share a scale; `nil` for that of a quantized source, else for one that fits the
    /// rows.
    public var groupSize: Int?
    /// Whether groups have no zero point (W4A16, GPTQ); `nil` for what a quantized source has, else for true.
    public var isSymmetric: Bool?
    /// The number of weights in a block of bitsandbytes; `nil` for 64.
    public var blockSize: Int?
    /// Whether bitsandbytes also quantizes the scales.
    public var isDouble = false
    /// Whether GPTQ stores zero points as they are (version 2); version 1 stores them minus one.
    public var isSecondVersion = false
    /// Whether `QuantizeFolder.apply(to:)` rounds weights again that are quantized already and cannot keep their codes.
    public var allowsRequantize = false

    /// The default options.
    public init() {}
}

/// Quantizes the linear layers of a folder to a format that runtimes read from safetensors.
public struct QuantizeFolder: Edit {
    /// The target format.
    public let type: FolderType
    /// Its options.
    public let settings: FolderQuantizationSettings

    /// An edit that quantizes to a format.
    public init(_ type: FolderType, settings: FolderQuantizationSettings = FolderQuantizationSettings()) {
        self.type = type
        self.settings = settings
    }

    /// The checkpoint with quantized weights. Weights that no group or block fits stay as they are; `plan` says which.
    ///
    /// - Throws: when the options are not possible, no weight can be quantized, or one would be rounded a second time
    ///   without consent.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        let plan = try plan(checkpoint)
        try plan.check(type, of: checkpoint, allowsRequantize: settings.allowsRequantize, allowsPlain: true)
        return plan.checkpoint
    }

    /// Plans the quantization. Of an already quantized source this reads all scales but no codes.
    ///
    /// - Throws: when the options are not possible, or no weight can be quantized.
    public func plan(_ checkpoint: Checkpoint, threads: Int = 1) throws(CheckpointError) -> FolderPlan {
        try checkpoint.requireModel()
        guard checkpoint.form == .folder, checkpoint.config != nil else {
            throw CheckpointError(
                file: checkpoint.path,
                "\(type.rawValue) is stored in a folder with a config.json; this output is not a folder",
                hint: "choose a folder as the output")
        }
        let coded = try CodedSource(checkpoint, threads: threads)
        var source = try DequantizeFolder().apply(to: checkpoint)
        // Each expert is rounded by itself; mlx-lm needs all of them in one tensor.
        let stacked = try type.isMLX ? StackedExperts(source) : nil
        if let stacked { source = try stacked.takingApart(source) }
        let modules = try LinearModules(source)
        try modules.checkRows(of: source, for: type)
        let wanted = source.tensors.filter { modules.isQuantized($0, withEmbeddings: type.quantizesEmbeddings) }
        let target = try target(coded, wanted)
        var plan = FolderPlan(checkpoint: source)
        if let note = groupNote(target, coded, wanted) { plan.checkpoint.note(note) }
        var plain: [String] = [], quantizedModules: [String] = []
        plan.checkpoint.tensors = []
        for tensor in source.tensors {
            let isWanted = modules.isQuantized(tensor, withEmbeddings: type.quantizesEmbeddings)
            let obstacle = isWanted ? target.obstacle(tensor.shape) : nil
            if isWanted, obstacle == nil {
                try quantize(tensor, coded, target, in: source, &plan)
                quantizedModules.append(String(tensor.name.dropLast(".weight".count)))
                continue
            }
            if modules.isStack(tensor) {
                plan.addPlain(tensor, because: "it is a stack of \(tensor.shape[0]) matrices")
            } else if let obstacle {
                plan.addPlain(tensor, because: obstacle)
            } else {
                plan.checkpoint.tensors.append(tensor)
            }
            if let module = modules.plainModule(tensor) { plain.append(module) }
        }
        guard plan.quantizedCount > 0 else {
            throw CheckpointError(
                file: checkpoint.path, "has no weight that \(type.rawValue) can quantize",
                hint: plan.obstacles.first.map { "\($0.tensor): \($0.reason)" }
                    ?? (modules.hasNoLayers
                        ? "no tensor belongs to a numbered layer, and only those are quantized" : nil))
        }
        if type == .nf4 || type == .fp4, quantizedModules.contains(where: { $0.contains(".experts.") }) {
            plan.checkpoint.note(
                "transformers 5 holds all experts in one tensor, for which it has no \(type.rawValue): experts so quantized load "
                    + "with transformers 4; W4A16 loads with both")
        }
        // A tied output matrix is a linear layer too, though no tensor is stored for it.
        if !type.quantizesEmbeddings, !plain.contains(source.outputModule) { plain.append(source.outputModule) }
        try target.configure(&plan.checkpoint, plain: PlainModules(plain, quantized: quantizedModules))
        if let stacked {
            plan.checkpoint = stacked.joining(plan.checkpoint)
            try plan.checkpoint.addOlderMembers()
        }
        return plan
    }

    /// Quantizes one weight: keeps its codes when the format can store their scales and zero points, else rounds.
    private func quantize(
        _ tensor: Tensor, _ coded: CodedSource, _ target: any QuantTarget, in source: Checkpoint,
        _ plan: inout FolderPlan
    ) throws(CheckpointError) {
        let module = String(tensor.name.dropLast(".weight".count))
        plan.addQuantized(tensor)
        let weight = coded.weights[ExactString(tensor.name)]
        // The decoded values in f32, before they are rounded to the type of the model.
        let values = weight.map { weight in
            Tensor(
                name: tensor.name, dtype: .f32, shape: tensor.shape,
                recipe: .computed(DequantizedRows(weight: weight, dtype: .f32, format: coded.format)))
        }
        let parts: [Tensor]
        if let values, let target = target as? any GroupedTarget {
            if let same = coded.regrouped(tensor.name, for: target, modelType: tensor.dtype) {
                plan.checkpoint.tensors += target.parts(of: same, module: module)
                plan.exactCount += 1
                return
            }
            parts = try target.parts(of: values, as: tensor.dtype, in: source)
        } else {
            parts = try target.parts(of: tensor, in: source)
        }
        plan.checkpoint.tensors += parts
        if try target.keepsCodes(of: tensor) {
            plan.exactCount += 1
        } else if tensor.quantizedSource != nil {
            plan.addRounded(values ?? tensor, parts: parts)
        }
    }

    /// The writer with its options; an option that was not given is taken from a quantized source where the format
    /// allows it.
    private func target(
        _ coded: CodedSource, _ wanted: [Tensor]
    ) throws(CheckpointError) -> any QuantTarget {
        switch type {
        case .w4a16:
            return CompressedTensorsTarget(
                groupSize: try groupSize(coded, wanted),
                isSymmetric: settings.isSymmetric ?? coded.isSymmetric ?? true)
        case .gptq:
            return GPTQTarget(
                groupSize: try groupSize(coded, wanted),
                isSymmetric: settings.isSymmetric ?? coded.isSymmetric ?? true,
                isFirstVersion: !settings.isSecondVersion)
        case .awq: return AWQTarget(groupSize: try groupSize(coded, wanted))
        case .mlx4: return MLXTarget(groupSize: try groupSize(coded, wanted))
        case .mlxMXFP4: return MLXMicroscaledTarget(scale: .e8m0)
        case .mlxNVFP4: return MLXMicroscaledTarget(scale: .e4m3)
        case .nvfp4: return MicroscaledTarget(.e4m3)
        case .mxfp4: return MicroscaledTarget(.e8m0)
        case .nf4, .fp4:
            let block = settings.blockSize ?? 64
            guard type.blockSizes.contains(block) else {
                throw CheckpointError(
                    "\(type.rawValue) has no block size \(block)",
                    hint: "it has " + type.blockSizes.map(String.init).joined(separator: ", "))
            }
            return BitsAndBytesTarget(levels: type == .nf4 ? .nf4 : .fp4, block: block, isDouble: settings.isDouble)
        }
    }
}
