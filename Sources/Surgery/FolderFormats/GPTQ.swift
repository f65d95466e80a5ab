internal import Checkpoints
internal import Formats
internal import Kernels

/// GPTQ's format, versions 1 and 2, 4 and 8 bits.
///
/// `X.qweight` I32 [in/8, out] holds codes along the inputs, `X.qzeros` I32 [in/group, out/8] the zero points, minus
/// one in version 1, `X.scales` [in/group, out], and `X.g_idx` I32 [in] the group of each input when groups are not in
/// column order.
struct GPTQ: QuantFormat {
    let name = "GPTQ"
    let endings = [".qweight", ".qzeros", ".scales", ".g_idx"]
    let mark = ".qweight"
    private let bits: Int
    /// `nil`: one group per row.
    private let groupSize: Int?
    private let isFirstVersion: Bool

    /// Reads the configuration.
    init(_ settings: JSONObject, file: String) throws(CheckpointError) {
        bits = settings["bits"]?.int ?? 4
        guard bits == 4 || bits == 8 else {
            throw CheckpointError(file: file, "has GPTQ weights of \(bits) bits; resect reads 4 and 8")
        }
        let size = settings["group_size"]?.int ?? 128
        guard size > 0 || size == -1 else { throw CheckpointError(file: file, "has a group_size of \(size)") }
        groupSize = size > 0 ? size : nil
        let format = settings["checkpoint_format"]?.string ?? "gptq"
        guard format == "gptq" || format == "gptq_v2" else {
            throw CheckpointError(
                file: file, "names the checkpoint_format '\(format)' of GPTQ, which resect does not read",
                hint: "read: gptq gptq_v2")
        }
        isFirstVersion = format == "gptq"
        // `-:` excludes the modules that match; any other prefix changes the settings of some modules.
        for (key, _) in settings["dynamic"]?.object?.members ?? JSONObject().members where !key.hasPrefix("-:") {
            throw CheckpointError(file: file, "has other settings for the modules '\(key)', which resect does not read")
        }
    }

    func weight(of module: CodedModule) throws(CheckpointError) -> any CodedWeight {
        let codes = try module.part(".qweight", .i32)
        let (words, rows) = try module.matrix(codes)
        let columns = words * (32 / bits)  // fits: eight codes in each word of the file
        let size = groupSize ?? columns
        guard columns % size == 0 else {
            throw module.refused(
                ".qweight", "has \(columns) input columns, which are not a multiple of the group size \(size)")
        }
        let groups = columns / size
        let scales = try module.part(".scales", .f16, .bf16, .f32, shape: [groups, rows])
        let zeros = try module.part(".qzeros", .i32, shape: [groups, StoredCodes.words(rows, bits: bits)])
        var order: [Int32]?
        if module.parts[".g_idx"] != nil {
            order = try module.groupOfColumn(
                try module.part(".g_idx", .i32, .i64, shape: [columns]), groups: groups, groupSize: size)
        }
        return GPTQWeight(
            layout: GroupLayout(
                rows: rows, columns: columns, groupSize: size, bits: bits, scaleType: scales.dtype, hasBias: false,
                groupOfColumn: order),
            codes: TransposedWords(tensor: codes),
            scales: TransposedScales(
                scales: scales, zeros: zeros, bits: bits, order: Array(0..<UInt8(32 / bits)),
                added: isFirstVersion ? 1 : 0))
    }
}

/// A weight in GPTQ format.
private struct GPTQWeight: GroupedWeight {
    let layout: GroupLayout
    let codes: TransposedWords
    let scales: TransposedScales

    var description: String { "GPTQ: \(codes.tensor.recipe)" }

    func writeCodes(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError) {
        let perWord = 32 / layout.bits
        let words = columns.lowerBound / perWord..<(columns.upperBound + perWord - 1) / perWord
        let lines = Scratch(byteCount: 4 * rows.count * words.count)
        try codes.write(rows: words, columns: rows, into: lines.words)
        let whole = words.count * perWord, skipped = columns.lowerBound - words.lowerBound * perWord
        let split = Scratch(byteCount: layout.bits == 4 ? whole : 0)
        for row in 0..<rows.count {
            let source = lines.words + row * words.count
            if layout.bits == 4 { Nibbles.split(source, into: split.bytes, count: words.count) }
            let bytes = layout.bits == 4 ? split.bytes : lines.bytes + row * whole
            (output + row * columns.count).update(from: bytes + skipped, count: columns.count)
        }
    }

    func writeScales(
        rows: Range<Int>, groups: Range<Int>, scales: UnsafeMutablePointer<Float>,
        offsets: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        try self.scales.write(rows: rows, groups: groups, scales: scales, offsets: offsets)
    }
}

/// Writes GPTQ with four bits and groups in column order.
struct GPTQTarget: GroupedTarget {
    let groupSize: Int
    let isSymmetric: Bool
    /// Whether zero points are stored minus one, as version 1 does.
    let isFirstVersion: Bool
    var zeroPoints: ClosedRange<Int>? { isSymmetric ? 8...8 : isFirstVersion ? 1...15 : 0...15 }
    let scaleTypes: [DType] = [.f16]

    func rounding(_ dtype: DType) -> GroupRounding {
        GroupRounding(
            .integer(symmetric: isSymmetric, leastZeroPoint: isFirstVersion ? 1 : 0), size: groupSize, scaleType: .f16)
    }

    func obstacle(_ shape: [Int]) -> String? {
        shape[0] % Nibbles.perWord == 0 ? groupObstacle(shape) : "its \(shape[0]) rows are not a multiple of 8"
    }

    func parts(of weight: any GroupedWeight, module: String) -> [Tensor] {
        let layout = weight.layout
        let groups = (0..<layout.columns).flatMap { column in
            withUnsafeBytes(of: Int32(column / layout.groupSize).littleEndian) { Array($0) }
        }
        return [
            Tensor(
                name: module + ".qweight", dtype: .i32, shape: [layout.columns / Nibbles.perWord, layout.rows],
                recipe: .computed(TransposedCodeWords(weight: weight))),
            Tensor(
                name: module + ".qzeros", dtype: .i32, shape: [layout.groups, layout.rows / Nibbles.perWord],
                recipe: .computed(
                    ZeroPointWords(
                        weight: weight, order: Array(0..<8), less: isFirstVersion ? 1 : 0, isTransposed: true))),
            Tensor(
                name: module + ".scales", dtype: .f16, shape: [layout.groups, layout.rows],
                recipe: .computed(ScaleRows(weight: weight, kind: .scales, dtype: .f16, isTransposed: true))),
            Tensor(
                name: module + ".g_idx", dtype: .i32, shape: [layout.columns],
                recipe: .computed(KnownBytes(bytes: groups, rowByteCount: groups.count))),
        ]
    }

    func configure(_ checkpoint: inout Checkpoint, plain: PlainModules) throws(CheckpointError) {
        let output = checkpoint.outputModule
        if let other = plain.names.first(where: { $0 != output }) {
            let tensor = checkpoint.tensors.first { $0.name.utf8.starts(with: (other + ".").utf8) }
            throw CheckpointError(
                file: checkpoint.path, tensor: tensor?.name ?? other,
                "would stay unquantized, which GPTQ's configuration cannot express",
                hint:
                    "choose a --group-size that divides its row length, or W4A16 or AWQ, which can leave it unquantized"
            )
        }
        let settings = JSONObject([
            ("bits", .int(4)), ("checkpoint_format", .string(isFirstVersion ? "gptq" : "gptq_v2")),
            ("desc_act", .bool(false)), ("group_size", .int(groupSize)), ("lm_head", .bool(false)),
            ("quant_method", .string("gptq")), ("sym", .bool(isSymmetric)), ("true_sequential", .bool(true)),
        ])
        checkpoint.config?["quantization_config"] = .object(settings)
        checkpoint.companions.removeAll { $0.name == "quantize_config.json" }
        checkpoint.companions.append(
            .init(name: "quantize_config.json", contents: Array(JSON.object(settings).pretty.utf8)))
    }
}

/// Codes packed along the inputs, eight per word: [in/8, out].
struct TransposedCodeWords: RowSource {
    let weight: any GroupedWeight

    var description: String { "codes by input of \(weight)" }
    var rowsTogether: Int { max(1, weight.layout.groupSize / Nibbles.perWord) }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let base = output.baseAddress?.assumingMemoryBound(to: UInt32.self) else { return }
        let outputs = weight.layout.rows, count = rows.count * Nibbles.perWord
        let columns = rows.lowerBound * Nibbles.perWord..<rows.upperBound * Nibbles.perWord
        let tile = min(outputs, Tile.rows(columns: count))
        let codes = Scratch(byteCount: tile * count), words = Scratch(byteCount: 4 * tile * rows.count)
        for part in (0..<outputs).pieces(of: tile) {
            try weight.writeCodes(rows: part, columns: columns, into: codes.bytes)
            Nibbles.join(codes.bytes, into: words.words, count: part.count * rows.count)
            Nibbles.transpose(
                words.words, rows: part.count, columns: rows.count, stride: rows.count,
                into: base + part.lowerBound, outputStride: outputs)
        }
    }
}
