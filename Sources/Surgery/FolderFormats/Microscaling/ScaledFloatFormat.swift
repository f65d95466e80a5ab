internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// F8_E4M3 weights with separate scales: per block (DeepSeek, Qwen), or per channel or tensor (compressed-tensors,
/// AutoFP8, fbgemm, ModelOpt). `X.weight` F8_E4M3 [out, in] is multiplied by `X.weight_scale_inv`, `X.weight_scale` or,
/// in ComfyUI's files, `X.scale_weight`: a scalar, one value per row [out] or [out, 1], or one per block [out/rows,
/// in/columns], rounded up.
struct ScaledFloatFormat: QuantFormat {
    let name = "FP8"
    let mark: String
    var endings: [String] { [".weight", mark] }
    /// Suffixes of the scales; a checkpoint uses one of them.
    private static let marks = [".weight_scale_inv", ".weight_scale", ".scale_weight"]
    /// Rows and columns of a block; `nil` when the configuration does not give them.
    private let block: [Int]?

    /// Reads the settings of a method with these weights.
    ///
    /// - Throws: for an invalid block size.
    init(_ settings: JSONObject, file: String, of checkpoint: Checkpoint) throws(CheckpointError) {
        mark =
            ScaledFloatFormat.marks.first { mark in checkpoint.tensors.contains { $0.name.hasSuffix(mark) } }
            ?? ".weight_scale"
        var stated = settings["weight_block_size"]?.array
        for group in settings["config_groups"]?.object?.members ?? JSONObject().members {
            stated = group.1["weights"]?["block_structure"]?.array ?? stated
        }
        block = stated?.map { $0.int ?? 0 }
        if let block, block.count != 2 || block.contains(where: { !(1...(1 << 20)).contains($0) }) {
            throw CheckpointError(file: file, "has the block size \(block); a block has rows and columns")
        }
    }

    func weight(of module: CodedModule) throws(CheckpointError) -> any CodedWeight {
        let codes = try module.part(".weight", .e4m3)
        let (rows, columns) = try module.matrix(codes)
        let scales = try module.part(mark, .f32, .f16, .bf16, .e8m0, .u8)
        let grid = try grid(scales.shape, rows: rows, columns: columns)
        guard let grid else {
            let blocks = block.map { "; its blocks are \($0[0])x\($0[1])" } ?? ""
            throw module.refused(
                mark,
                "has the shape \(scales.shape), but the weight has \(rows.grouped) rows of \(columns.grouped)\(blocks)")
        }
        return ScaledFloatWeight(codes: codes, scales: scales, rowsTogether: grid.rows, columnsTogether: grid.columns)
    }

    /// The rows and columns that share a scale; `nil` when the shapes do not match.
    private func grid(_ shape: [Int], rows: Int, columns: Int) throws(CheckpointError) -> (rows: Int, columns: Int)? {
        if shape.allSatisfy({ $0 == 1 }), block == nil { return (rows, columns) }
        if shape == [rows] || shape == [rows, 1], block == nil { return (1, columns) }
        guard let block, shape == [(rows - 1) / block[0] + 1, (columns - 1) / block[1] + 1] else { return nil }
        return (block[0], block[1])
    }
}

/// An 8-bit float weight with a grid of scales.
private struct ScaledFloatWeight: CodedWeight {
    let codes: Tensor
    let scales: Tensor
    let rowsTogether: Int
    let columnsTogether: Int

    var shape: [Int] { codes.shape }
    var valueType: DType { scales.dtype == .f16 ? .f16 : .bf16 }
    /// Models are published in FP8.
    var isRounded: Bool { false }
    var description: String { "FP8: \(codes.recipe)" }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let length = shape[1], blocks = (length - 1) / columnsTogether + 1
        let line = Scratch(floats: length), factors = Scratch(floats: blocks)
        var known: Int?
        try codes.withBytes(rows: rows) { (bytes) throws(CheckpointError) in
            guard let base = bytes.bindMemory(to: UInt8.self).baseAddress else { return }
            for (index, row) in rows.enumerated() {
                if known != row / rowsTogether {
                    known = row / rowsTogether
                    try writeScales(row / rowsTogether * blocks, count: blocks, into: factors.floats)
                }
                FloatCodes.decodeE4M3(base + index * length, count: length, into: line.floats)
                FloatCodes.multiply(line.floats, count: length, block: columnsTogether, scales: factors.floats)
                (output + index * columns.count).update(from: line.floats + columns.lowerBound, count: columns.count)
            }
        }
    }

    /// Decodes scales by their index in the grid.
    private func writeScales(
        _ first: Int, count: Int, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        if Codec.decodes(scales.dtype) { return try scales.writeValues(elements: first..<first + count, into: output) }
        let length = scales.rowLength
        let rows = first / length..<(first + count - 1) / length + 1
        try scales.withBytes(rows: rows) { bytes in
            let start = first - rows.lowerBound * length
            for (index, code) in bytes[start..<start + count].enumerated() {
                output[index] = GroupScale.powerOfTwo(code)
            }
        }
    }
}
