public import Checkpoints
internal import Formats

/// A form that the weights of a folder can be packed in, as `--type` names it.
public enum PackedType: String, CaseIterable, Sendable {
    /// compressed-tensors, four bits.
    case w4a16 = "W4A16"
    /// bitsandbytes, four bits, levels of a normal distribution.
    case nf4 = "NF4"
    /// bitsandbytes, four bits, floats.
    case fp4 = "FP4"
    /// compressed-tensors, E2M1 in groups of 16.
    case nvfp4 = "NVFP4"
    /// compressed-tensors, E2M1 in groups of 32.
    case mxfp4 = "MXFP4"

    /// The form of that name, in any case.
    public init?(named name: String) {
        guard let found = PackedType.allCases.first(where: { $0.rawValue == name.uppercased() }) else { return nil }
        self = found
    }
}

/// What can be chosen of a form; `nil` for what is usual.
public struct PackSettings: Sendable {
    /// Elements that share a scale.
    public var groupSize: Int?
    /// Whether groups have no offset of their own.
    public var isSymmetric: Bool?
    /// Weights of a block of bitsandbytes.
    public var blockSize: Int?
    /// Whether bitsandbytes quantizes the scales too.
    public var isDouble = false

    /// The usual settings.
    public init() {}
}

/// Packs the weights of the Linears of a folder into one of the forms that runtimes read from safetensors.
public struct PackWeights: Edit {
    /// The form.
    public let type: PackedType
    /// What was chosen of it.
    public let settings: PackSettings

    /// A packing.
    public init(_ type: PackedType, settings: PackSettings = PackSettings()) {
        self.type = type
        self.settings = settings
    }

    /// The checkpoint with packed weights.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try plan(checkpoint).checkpoint
    }

    /// The packed checkpoint, and what became of its matrices.
    public struct Plan: Sendable {
        /// The result.
        public var checkpoint: Checkpoint
        /// How many weights are packed.
        public var packedCount = 0
        /// Weights that would be packed and stay plain, with the reason.
        public var obstacles: [(tensor: String, reason: String)] = []
    }

    /// Plans what is packed; no weight is read.
    ///
    /// - Throws: when the settings are not possible, or nothing can be packed.
    public func plan(_ checkpoint: Checkpoint) throws(CheckpointError) -> Plan {
        guard checkpoint.form == .folder, checkpoint.config != nil else {
            throw CheckpointError(
                file: checkpoint.path,
                "\(type.rawValue) is stored in a folder with a config.json, which this output is not",
                hint: "name a folder as the output")
        }
        let target = try target()
        let source = try UnpackWeights().apply(to: checkpoint)
        let modules = LinearModules(source)
        var plan = Plan(checkpoint: source)
        var plain: [String] = []
        plan.checkpoint.tensors = []
        for tensor in source.tensors {
            let kind = modules.kind(of: tensor)
            let isWanted = kind == .linear || (target.packsEmbeddings && (kind == .embedding || kind == .output))
            let obstacle = isWanted ? target.obstacle(tensor.shape) : nil
            if isWanted, obstacle == nil {
                plan.checkpoint.tensors += try target.parts(of: tensor, in: source)
                plan.packedCount += 1
                continue
            }
            plan.checkpoint.tensors.append(tensor)
            if let obstacle { plan.obstacles.append((tensor.name, obstacle)) }
            if kind != nil, kind != .embedding { plain.append(String(tensor.name.dropLast(".weight".count))) }
        }
        guard plan.packedCount > 0 else {
            throw CheckpointError(
                file: checkpoint.path, "has no weight that \(type.rawValue) can pack",
                hint: plan.obstacles.first.map { "\($0.tensor): \($0.reason)" })
        }
        // A tied output matrix is a Linear too, though no tensor is stored for it.
        if !target.packsEmbeddings, !plain.contains(modules.outputModule) { plain.append(modules.outputModule) }
        try target.configure(&plan.checkpoint, plain: plain)
        return plan
    }

    /// The form with its settings.
    private func target() throws(CheckpointError) -> any PackedTarget {
        switch type {
        case .w4a16:
            return CompressedTensorsTarget(
                groupSize: try groupSize(among: [32, 64, 128, 256], usual: 128),
                isSymmetric: settings.isSymmetric ?? true)
        case .nvfp4: return MicroscaledTarget(.e4m3)
        case .mxfp4: return MicroscaledTarget(.e8m0)
        case .nf4, .fp4:
            let block = settings.blockSize ?? 64
            guard QuantState.blocks.contains(block) else {
                throw CheckpointError(
                    "a block of \(block) is not possible in \(type.rawValue)",
                    hint: "--block-size takes " + QuantState.blocks.map(String.init).joined(separator: ", "))
            }
            return BitsAndBytesTarget(levels: type == .nf4 ? .nf4 : .fp4, block: block, isDouble: settings.isDouble)
        }
    }

    private func groupSize(among sizes: [Int], usual: Int) throws(CheckpointError) -> Int {
        let size = settings.groupSize ?? usual
        guard sizes.contains(size) else {
            throw CheckpointError(
                "a group of \(size) is not possible in \(type.rawValue)",
                hint: "--group-size takes " + sizes.map(String.init).joined(separator: ", "))
        }
        return size
    }
}
