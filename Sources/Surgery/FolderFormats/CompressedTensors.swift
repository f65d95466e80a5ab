internal import Checkpoints
internal import Formats
internal import Weights

/// compressed-tensors' pack-quantized format: W4A16 and W8A16.
///
/// `X.weight_packed` I32 [out, in/8] holds codes along the rows, `X.weight_scale` [out, in/group] their scales,
/// `X.weight_zero_point` I32 [out/8, in/group] the zero points packed along the columns, absent when symmetric, and
/// `X.weight_shape` the shape.
struct CompressedTensors: QuantFormat {
    let name = "compressed-tensors"
    let endings = [".weight_packed", ".weight_scale", ".weight_zero_point", ".weight_shape", ".weight_g_idx"]
    let mark = ".weight_packed"
    /// The weight settings of one config group.
    private let schemes: [Scheme]

    private struct Scheme: Equatable {
        let bits: Int
        let isSymmetric: Bool
        /// `nil`: one group per row.
        let groupSize: Int?
    }

    /// Reads the configuration.
    ///
    /// - Throws: for formats that resect does not read.
    init(_ settings: JSONObject, file: String) throws(CheckpointError) {
        let format = settings["format"]?.string ?? "none"
        guard format == "pack-quantized" else {
            throw CheckpointError(
                file: file, "names the format '\(format)' of compressed-tensors, which resect does not read",
                hint: "read: pack-quantized")
        }
        var schemes: [Scheme] = []
        for (name, group) in settings["config_groups"]?.object?.members ?? JSONObject().members {
            guard let weights = group["weights"]?.object else { continue }
            let bits = weights["num_bits"]?.int ?? 0
            let type = weights["type"]?.string ?? "int"
            guard bits == 4 || bits == 8, type == "int" else {
                throw CheckpointError(
                    file: file,
                    "'\(name)' has weights of \(bits) bits and type '\(type)'; resect reads int of 4 and 8 bits")
            }
            let strategy = weights["strategy"]?.string ?? "group"
            let size = weights["group_size"]?.int ?? 0
            guard strategy == "channel" || (strategy == "group" && size > 0) else {
                throw CheckpointError(
                    file: file,
                    "'\(name)' has the strategy '\(strategy)' and the group size \(size); resect reads group and channel"
                )
            }
            schemes.append(
                Scheme(
                    bits: bits, isSymmetric: weights["symmetric"]?.bool ?? true,
                    groupSize: strategy == "channel" ? nil : size))
        }
        guard !schemes.isEmpty else { throw CheckpointError(file: file, "has no config_groups with weights") }
        self.schemes = schemes
    }

    func weight(of module: CodedModule) throws(CheckpointError) -> any CodedWeight {
        let codes = try module.part(".weight_packed", .i32)
        let (rows, words) = try module.matrix(codes)
        let shape = try module.part(".weight_shape", .i64, .i32, shape: [2])
        let stated = try module.integers(shape)
        // The words lie in the file and hold eight codes each at most, so the sizes are bounded.
        guard stated[0] == rows, stated[1] > 0, stated[1] <= words * 8,
            let bits = [4, 8].first(where: { StoredCodes.words(stated[1], bits: $0) == words })
        else {
            throw module.refused(
                ".weight_shape", "has the value \(stated), but the quantized weight has the shape \(codes.shape)")
        }
        let columns = stated[1]
        let scale = try module.part(".weight_scale", .f16, .bf16, .f32)
        let (scaleRows, groups) = try module.matrix(scale)
        guard scaleRows == rows, columns % groups == 0 else {
            throw module.refused(
                ".weight_scale", "has the shape \(scale.shape); the weight has \(rows) rows of \(columns)")
        }
        let size = columns / groups
        let hasZeros = module.parts[".weight_zero_point"] != nil
        guard schemes.contains(where: { $0.bits == bits && ($0.groupSize ?? columns) == size }) else {
            let known = schemes.map { scheme in
                "\(scheme.bits) bits, " + (scheme.groupSize.map { "groups of \($0)" } ?? "one group per row")
            }
            throw module.refused(
                ".weight_scale",
                "has groups of \(size) for codes of \(bits) bits; the configuration has "
                    + known.joined(separator: " or "))
        }
        guard schemes.contains(where: { $0.isSymmetric != hasZeros }) else {
            throw module.refused(
                ".weight_zero_point",
                hasZeros
                    ? "is present, but the configuration is symmetric"
                    : "is missing, but the configuration is asymmetric")
        }
        var zeros: Tensor?
        if hasZeros {
            zeros = try module.part(
                ".weight_zero_point", .i32, shape: [StoredCodes.words(rows, bits: bits), groups])
        }
        var order: [Int32]?
        if module.parts[".weight_g_idx"] != nil {
            order = try module.groupOfColumn(
                try module.part(".weight_g_idx", .i32, shape: [columns]), groups: groups, groupSize: size)
        }
        return CompressedTensorsWeight(
            layout: GroupLayout(
                rows: rows, columns: columns, groupSize: size, bits: bits, scaleType: scale.dtype, hasBias: false,
                groupOfColumn: order),
            codes: StoredCodes(tensor: codes, bits: bits, columns: columns), scales: scale, zeros: zeros)
    }
}

extension CodedModule {
    /// The group of each column, checked; `nil` when groups are in column order.
    func groupOfColumn(
        _ tensor: Tensor, groups: Int, groupSize: Int
    ) throws(CheckpointError) -> [Int32]? {
        let order = try integers(tensor)
        for (column, group) in order.enumerated() where !(0..<groups).contains(group) {
            throw CheckpointError(
                file: file, tensor: tensor.name,
                "assigns column \(column) to group \(group); the groups are 0 to \(groups - 1)")
        }
        let isPlain = order.enumerated().allSatisfy { $1 == $0 / groupSize }
        return isPlain ? nil : order.map(Int32.init)
    }
}

/// A weight in pack-quantized format.
private struct CompressedTensorsWeight: GroupedWeight {
    let layout: GroupLayout
    let codes: StoredCodes
    let scales: Tensor
    let zeros: Tensor?

    var description: String { "compressed-tensors: \(codes.tensor.recipe)" }

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
        guard let zeros else {
            return offsets.update(repeating: layout.bits == 4 ? 8 : 128, count: rows.count * groups.count)
        }
        // A word holds the zero points of eight neighbouring rows.
        let bits = layout.bits, perWord = 32 / bits
        let words = rows.lowerBound / perWord..<(rows.upperBound + perWord - 1) / perWord
        try zeros.withBytes(rows: words) { bytes in
            for (index, row) in rows.enumerated() {
                let shift = row % perWord * bits
                for (column, group) in groups.enumerated() {
                    let from = (row / perWord - words.lowerBound) * zeros.rowByteCount + 4 * group
                    let word = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: from, as: UInt32.self))
                    offsets[index * groups.count + column] = Float(word >> shift & (bits == 4 ? 15 : 255))
                }
            }
        }
    }
}
