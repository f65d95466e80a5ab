internal import Checkpoints
internal import Formats
internal import Kernels

/// AWQ's gemm format, four bits.
///
/// `X.qweight` I32 [in, out/8] holds codes along the outputs in the order 0 2 4 6 1 3 5 7, `X.qzeros` I32 [in/group,
/// out/8] the zero points in the same order, `X.scales` [in/group, out].
struct AWQ: QuantFormat {
    let name = "AWQ"
    let endings = [".qweight", ".qzeros", ".scales"]
    let mark = ".qweight"
    /// The output row that each nibble of a word belongs to.
    static let order: [UInt8] = [0, 2, 4, 6, 1, 3, 5, 7]
    /// `nil`: one group per row.
    private let groupSize: Int?

    /// Reads the configuration.
    init(_ settings: JSONObject, file: String) throws(CheckpointError) {
        let bits = settings["bits"]?.int ?? settings["w_bit"]?.int ?? 4
        guard bits == 4 else { throw CheckpointError(file: file, "has AWQ weights of \(bits) bits; resect reads 4") }
        let version = settings["version"]?.string ?? "gemm"
        guard version.lowercased() == "gemm" else {
            throw CheckpointError(
                file: file, "names the version '\(version)' of AWQ, which resect does not read", hint: "read: gemm")
        }
        let size = settings["group_size"]?.int ?? settings["q_group_size"]?.int ?? 128
        guard size > 0 || size == -1 else { throw CheckpointError(file: file, "has a group_size of \(size)") }
        groupSize = size > 0 ? size : nil
    }

    func weight(of module: CodedModule) throws(CheckpointError) -> any CodedWeight {
        let codes = try module.part(".qweight", .i32)
        let (columns, words) = try module.matrix(codes)
        let rows = words * Nibbles.perWord  // fits: eight codes in each word of the file
        let size = groupSize ?? columns
        guard columns % size == 0 else {
            throw module.refused(
                ".qweight", "has \(columns) input columns, which are not a multiple of the group size \(size)")
        }
        let groups = columns / size
        let scales = try module.part(".scales", .f16, .bf16, .f32, shape: [groups, rows])
        let zeros = try module.part(".qzeros", .i32, shape: [groups, words])
        return AWQWeight(
            layout: GroupLayout(
                rows: rows, columns: columns, groupSize: size, bits: 4, scaleType: scales.dtype, hasBias: false),
            codes: TransposedWords(tensor: codes),
            scales: TransposedScales(scales: scales, zeros: zeros, bits: 4, order: AWQ.order, added: 0))
    }
}

/// A weight in AWQ format.
private struct AWQWeight: GroupedWeight {
    let layout: GroupLayout
    let codes: TransposedWords
    let scales: TransposedScales

    var description: String { "AWQ: \(codes.tensor.recipe)" }

    func writeCodes(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<UInt8>
    ) throws(CheckpointError) {
        let eight = Nibbles.perWord, count = columns.count
        let words = rows.lowerBound / eight..<(rows.upperBound + eight - 1) / eight
        let lines = Scratch(byteCount: 4 * count * words.count), split = Scratch(byteCount: eight * count)
        try codes.write(rows: columns, columns: words, into: lines.words)
        for (index, word) in words.enumerated() {
            Nibbles.splitRows(
                lines.words + index * count, order: AWQ.order, into: split.bytes, count: count)
            for row in rows.clamped(to: word * eight..<(word + 1) * eight) {
                (output + (row - rows.lowerBound) * count).update(
                    from: split.bytes + (row - word * eight) * count, count: count)
            }
        }
    }

    func writeScales(
        rows: Range<Int>, groups: Range<Int>, scales: UnsafeMutablePointer<Float>,
        offsets: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        try self.scales.write(rows: rows, groups: groups, scales: scales, offsets: offsets)
    }
}

/// Writes AWQ's gemm format. Weights are rounded to nearest, without activation statistics.
struct AWQTarget: GroupedTarget {
    let groupSize: Int
    let zeroPoints: ClosedRange<Int>? = 0...15
    let scaleTypes: [DType] = [.f16]

    func rounding(_ dtype: DType) -> GroupRounding {
        GroupRounding(.integer(symmetric: false, leastZeroPoint: 0), size: groupSize, scaleType: .f16)
    }

    func obstacle(_ shape: [Int]) -> String? {
        shape[0] % Nibbles.perWord == 0 ? groupObstacle(shape) : "its \(shape[0]) rows are not a multiple of 8"
    }

    func parts(of weight: any GroupedWeight, module: String) -> [Tensor] {
        let layout = weight.layout, words = layout.rows / Nibbles.perWord
        return [
            Tensor(
                name: module + ".qweight", dtype: .i32, shape: [layout.columns, words],
                recipe: .computed(InterleavedCodeWords(weight: weight))),
            Tensor(
                name: module + ".qzeros", dtype: .i32, shape: [layout.groups, words],
                recipe: .computed(ZeroPointWords(weight: weight, order: AWQ.order, less: 0, isTransposed: true))),
            Tensor(
                name: module + ".scales", dtype: .f16, shape: [layout.groups, layout.rows],
                recipe: .computed(ScaleRows(weight: weight, kind: .scales, dtype: .f16, isTransposed: true))),
        ]
    }

    func configure(_ checkpoint: inout Checkpoint, plain: PlainModules) {
        let output = checkpoint.outputModule
        let others = plain.names.filter { $0 != output }
        let skipped = (plain.names + plain.prefixes).map(JSON.string)
        checkpoint.config?["quantization_config"] = .object(
            JSONObject([
                ("bits", .int(4)), ("group_size", .int(groupSize)),
                ("modules_to_not_convert", others.isEmpty ? .null : .array(skipped)),
                ("quant_method", .string("awq")), ("version", .string("gemm")), ("zero_point", .bool(true)),
            ]))
    }
}

/// Codes packed along the outputs, eight per word: [in, out/8].
struct InterleavedCodeWords: RowSource {
    let weight: any GroupedWeight

    var description: String { "codes by output of \(weight)" }
    var rowsTogether: Int { weight.layout.groupSize }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        guard let base = output.baseAddress?.assumingMemoryBound(to: UInt32.self) else { return }
        let outputs = weight.layout.rows, eight = Nibbles.perWord, count = rows.count
        let tile = min(outputs, Tile.rows(columns: count))
        let codes = Scratch(byteCount: tile * count), words = Scratch(byteCount: tile / eight * count * 4)
        for part in (0..<outputs).pieces(of: tile) {
            try weight.writeCodes(rows: part, columns: rows, into: codes.bytes)
            for word in 0..<part.count / eight {
                Nibbles.joinRows(
                    codes.bytes + word * eight * count, order: AWQ.order, into: words.words + word * count,
                    count: count)
            }
            Nibbles.transpose(
                words.words, rows: part.count / eight, columns: count, stride: count,
                into: base + part.lowerBound / eight, outputStride: outputs / eight)
        }
    }
}
