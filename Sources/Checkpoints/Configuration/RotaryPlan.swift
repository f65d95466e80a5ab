package import Formats

/// The rotary embedding of a model: the base of its frequencies and how they are scaled.
package struct RotaryPlan: Sendable, Equatable {
    /// Elements of a head that are rotated.
    package let size: Int
    /// Which elements of a head are rotated together.
    package let pairs: LayerDescription.Pairs
    /// The base of the frequencies.
    package let theta: Double
    /// How positions are scaled; `nil` when they are not.
    package let scaling: RopeScaling?
    /// The divisor of each frequency, when a GGUF file lists them instead of Llama 3's parameters.
    package let factors: [Float]?

    /// Reads the rotary embedding of a model.
    ///
    /// - Parameter isWindowed: whether to read the embedding of layers with a window.
    package init(
        _ checkpoint: Checkpoint, _ settings: Settings, _ rope: LayerDescription.Rope, isWindowed: Bool
    ) throws(CheckpointError) {
        pairs = checkpoint.form == .gguf ? rope.ggufPairs : rope.pairs
        size = try settings.int(.rotarySize)
        try RotaryPlan.check(size: size, file: checkpoint.path)
        let role = isWindowed ? rope.windowTheta ?? SettingRole.ropeTheta.rawValue : SettingRole.ropeTheta.rawValue
        theta = try settings.double(role) ?? 10000
        guard theta.isFinite, theta > 1 else {
            throw CheckpointError(
                file: settings.file, "'\(settings.key(role))' is \(theta), no base of frequencies")
        }
        guard !isWindowed || rope.scalesWindowed else {
            (factors, scaling) = (nil, nil)
            return
        }
        factors = checkpoint.form == .gguf ? try checkpoint.ropeFactors() : nil
        if checkpoint.form == .gguf {
            if factors != nil {
                scaling = nil
            } else if let long = try RopeScaling.LongRoPE(checkpoint) {
                scaling = .longRoPE(long)
            } else {
                scaling = try RopeScaling(metadata: checkpoint.metadata, file: checkpoint.path)
            }
        } else {
            scaling = try RopeScaling(settings)
        }
        try checkFactors(file: checkpoint.path)
    }

    /// Refuses an absurd head size before a table of that length is allocated.
    package static func check(size: Int, file: String) throws(CheckpointError) {
        guard 1...65_536 ~= size else {
            throw CheckpointError(file: file, "has heads of the size \(size.grouped)")
        }
    }

    /// The tensors of factors that GGUF has for a scaling: Llama 3's and LongRoPE's.
    package var ggufTensors: [Tensor] {
        switch scaling {
        case .llama3(let parameters):
            let factors = parameters.factors(RotaryPlan.frequencies(size: size, theta: theta))
            return [Tensor(name: "rope_freqs.weight", values: factors)]
        case .longRoPE(let parameters): return parameters.ggufTensors
        default: return []
        }
    }
}

extension Checkpoint {
    /// The factors of `rope_freqs.weight`; `nil` without this tensor.
    package func ropeFactors() throws(CheckpointError) -> [Float]? { try factors("rope_freqs.weight") }

    /// The factors of a tensor; `nil` without it.
    func factors(_ name: String) throws(CheckpointError) -> [Float]? {
        guard let tensor = tensor(named: name) else { return nil }
        guard tensor.shape.count == 1, tensor.dtype == .f32 else {
            throw CheckpointError(
                file: path, tensor: tensor.name,
                "of type \(tensor.dtype) and shape \(tensor.shape) is not a list of factors")
        }
        return try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            (0..<tensor.count).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
        }
    }
}

extension Tensor {
    /// A vector of a few known values.
    init(name: String, values: [Float]) {
        self.init(name: name, dtype: .f32, shape: [values.count], recipe: .computed(Constants(values: values)))
    }
}

/// A tensor of a few known values.
private struct Constants: RowSource {
    let values: [Float]

    var description: String { "\(values.count) computed values" }

    func write(
        rows: Range<Int>, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        values.withUnsafeBytes { output.copyMemory(from: $0) }
    }
}
