internal import Checkpoints
internal import Formats

/// NVFP4 and MXFP4 with the tensor names of compressed-tensors, ModelOpt or MLX.
///
/// | format | codes | scales | scale of the whole weight |
/// |---|---|---|---|
/// | compressed-tensors | `X.weight_packed` U8 [out, in/2] | `X.weight_scale` | `X.weight_global_scale`, a divisor |
/// | ModelOpt | `X.weight` U8 [out, in/2] | `X.weight_scale` | `X.weight_scale_2`, a factor |
/// | MLX | `X.weight` U32 [out, in/8] | `X.scales` | none |
///
/// Scales are F8_E4M3 [out, in/16] for NVFP4, E8M0 in U8 [out, in/32] for MXFP4; MLX has U8 for both.
struct MicroscaledFormat: QuantFormat {
    enum Names: Sendable { case compressedTensors, modelOpt, mlx }

    let names: Names
    let scale: GroupScale

    var name: String { "\(scale.blocks)" }

    private var codes: String { names == .compressedTensors ? ".weight_packed" : ".weight" }
    private var scales: String { names == .mlx ? ".scales" : ".weight_scale" }
    private var whole: String? {
        guard scale == .e4m3 else { return nil }
        switch names {
        case .compressedTensors: return ".weight_global_scale"
        case .modelOpt: return ".weight_scale_2"
        case .mlx: return nil
        }
    }

    var stacksExperts: Bool { names == .mlx }
    var mark: String { names == .modelOpt ? ".weight_scale_2" : names == .mlx ? ".scales" : ".weight_packed" }
    var endings: [String] { [codes, scales] + (whole.map { [$0] } ?? []) }

    /// Reads the configuration of compressed-tensors.
    ///
    /// - Throws: when its config groups have other weights.
    static func compressedTensors(
        _ settings: JSONObject, scale: GroupScale, file: String
    ) throws(CheckpointError) -> MicroscaledFormat {
        for (name, group) in settings["config_groups"]?.object?.members ?? JSONObject().members {
            let size = group["weights"]?["group_size"]?.int ?? 0, bits = group["weights"]?["num_bits"]?.int ?? 0
            guard bits == 4, size == scale.groupSize else {
                throw CheckpointError(
                    file: file,
                    "'\(name)' has weights of \(bits) bits in groups of \(size); \(scale.blocks) has 4 bits and groups of "
                        + "\(scale.groupSize)")
            }
        }
        return MicroscaledFormat(names: .compressedTensors, scale: scale)
    }

    /// Reads the configuration of MLX.
    ///
    /// - Returns: `nil` when it names another mode.
    /// - Throws: when some modules have a different mode.
    static func mlx(_ settings: JSONObject, file: String) throws(CheckpointError) -> MicroscaledFormat? {
        let modes: [String: GroupScale] = ["nvfp4": .e4m3, "mxfp4": .e8m0]
        guard let mode = settings["mode"]?.string, let scale = modes[mode] else { return nil }
        for (name, own) in settings.members {
            guard let other = own["mode"]?.string ?? (own.object == nil ? nil : "affine"), other != mode else {
                continue
            }
            throw CheckpointError(
                file: file,
                "names the MLX mode '\(other)' for '\(name)' and '\(mode)' for other modules; resect reads one mode per model"
            )
        }
        return MicroscaledFormat(names: .mlx, scale: scale)
    }

    func weight(of module: CodedModule) throws(CheckpointError) -> any CodedWeight {
        let codes = try names == .mlx ? module.part(codes, .u32) : module.part(codes, .u8)
        _ = try module.matrix(codes)
        let columns = 2 * codes.rowByteCount  // fits: the bytes of a row lie in the file
        guard columns % scale.groupSize == 0 else {
            throw CheckpointError(
                file: module.file, tensor: codes.name,
                "has rows of \(columns.grouped) codes, which are not a multiple of the group size \(scale.groupSize)")
        }
        let shape = [codes.rowCount, columns / scale.groupSize]
        let scales =
            try names != .mlx && scale == .e4m3
            ? module.part(scales, .e4m3, shape: shape) : module.part(scales, .u8, .e8m0, shape: shape)
        return E2M1Weight(codes: codes, scales: scales, scale: scale, whole: try wholeScale(module))
    }

    private func wholeScale(_ module: CodedModule) throws(CheckpointError) -> WholeScale {
        guard let ending = whole else { return .none }
        let tensor = try module.part(ending, .f32)
        let value = try module.floats(tensor).first ?? 0
        guard tensor.count == 1, value.isFinite, value > 0 else {
            throw module.refused(
                ending, "is \(value) in \(tensor.count.grouped) values; the scale of a weight is one positive number")
        }
        return names == .compressedTensors ? .divisor(value) : .multiplier(value)
    }
}
