internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// MLX's affine format, 4 and 8 bits: `X.weight` U32 [out, in/8] holds codes along the rows, `X.scales` and `X.biases`
/// [out, in/group] scale and bias: a value is `code * scale + bias`. Those of a layer's experts are stacked: [experts, out, in/8].
struct MLXAffine: QuantFormat {
    let name = "MLX"
    let endings = [".weight", ".scales", ".biases"]
    let mark = ".scales"
    let stacksExperts = true
    private let settings: JSONObject
    private let file: String

    /// Reads the configuration.
    init(_ settings: JSONObject, file: String) throws(CheckpointError) {
        self.settings = settings
        self.file = file
        _ = try scheme(of: nil)
    }

    /// The group size and the bits of a module, or the defaults for modules without settings of their own.
    private func scheme(of module: String?) throws(CheckpointError) -> (groupSize: Int, bits: Int) {
        let own = module.flatMap { settings[$0]?.object }
        let which = own == nil ? "" : " for '\(module ?? "")'"
        func number(_ key: String, _ usual: Int) -> Int { own?[key]?.int ?? settings[key]?.int ?? usual }
        let mode = own?["mode"]?.string ?? settings["mode"]?.string ?? "affine"
        guard mode == "affine" else {
            throw CheckpointError(
                file: file, "names the mode '\(mode)' of MLX\(which), which resect does not read", hint: "read: affine")
        }
        let size = number("group_size", 64), bits = number("bits", 4)
        guard size > 0, bits == 4 || bits == 8 else {
            throw CheckpointError(
                file: file, "has MLX weights of \(bits) bits in groups of \(size)\(which); resect reads 4 and 8 bits")
        }
        return (size, bits)
    }

    func weight(of module: CodedModule) throws(CheckpointError) -> any CodedWeight {
        let (size, bits) = try scheme(of: module.name)
        let codes = try module.part(".weight", .u32)
        let (rows, words) = try module.matrix(codes)
        let columns = words * (32 / bits)  // fits: eight codes in each word of the file
        guard columns % size == 0 else {
            throw module.refused(
                ".weight", "has rows of \(columns), which are not a multiple of the group size \(size)")
        }
        let scales = try module.part(".scales", .f16, .bf16, .f32, shape: [rows, columns / size])
        let biases = try module.part(".biases", scales.dtype, shape: [rows, columns / size])
        return MLXWeight(
            layout: GroupLayout(
                rows: rows, columns: columns, groupSize: size, bits: bits, scaleType: scales.dtype, hasBias: true),
            codes: StoredCodes(tensor: codes, bits: bits, columns: columns), scales: scales, biases: biases)
    }
}

/// A weight in MLX affine format.
private struct MLXWeight: GroupedWeight {
    let layout: GroupLayout
    let codes: StoredCodes
    let scales, biases: Tensor

    var description: String { "MLX: \(codes.tensor.recipe)" }

    func writeCodes(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError) {
        try codes.write(rows: rows, columns: columns, into: output)
    }

    func writeScales(
        rows: Range<Int>, groups: Range<Int>, scales output: UnsafeMutablePointer<Float>,
        offsets: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        try scales.writeValues(rows: rows, columns: groups, into: output)
        try biases.writeValues(rows: rows, columns: groups, into: offsets)
    }
}

/// Writes MLX's affine format with four bits, as `mx.quantize` computes it on a CPU; includes embeddings and the output
/// matrix.
struct MLXTarget: GroupedTarget {
    let groupSize: Int
    let zeroPoints: ClosedRange<Int>? = nil
    let scaleTypes: [DType] = [.bf16, .f16, .f32]

    func rounding(_ dtype: DType) -> GroupRounding {
        GroupRounding(.mlx, size: groupSize, scaleType: scaleTypes.contains(dtype) ? dtype : .bf16)
    }

    func parts(of weight: any GroupedWeight, module: String) -> [Tensor] {
        let layout = weight.layout, type = layout.scaleType
        func levels(_ kind: ScaleRows.Kind) -> Tensor {
            Tensor(
                name: "\(module).\(kind.rawValue)", dtype: type, shape: [layout.rows, layout.groups],
                recipe: .computed(ScaleRows(weight: weight, kind: kind, dtype: type, isTransposed: false)))
        }
        return [
            Tensor(
                name: module + ".weight", dtype: .u32, shape: [layout.rows, layout.columns / Nibbles.perWord],
                recipe: .computed(CodeWords(weight: weight))),
            levels(.scales), levels(.biases),
        ]
    }

    func configure(_ checkpoint: inout Checkpoint, plain: PlainModules) {
        let settings = JSON.object(
            JSONObject([("group_size", .int(groupSize)), ("bits", .int(4)), ("mode", .string("affine"))]))
        checkpoint.config?["quantization"] = settings
        checkpoint.config?["quantization_config"] = settings
        // mlx-lm writes only this metadata.
        checkpoint.headerMetadata = JSONObject([("format", .string("mlx"))])
    }
}
