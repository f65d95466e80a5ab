internal import Checkpoints
internal import Formats
internal import Kernels

extension Recipe {
    /// The weight in small groups that the rows are computed from, and the order of its rows; `nil` for other rows.
    var microscaled: (weight: any MicroscaledWeight, order: RowMap?)? {
        switch self {
        case .mapped, .archived, .joined: return nil
        case .rows(let source, let order):
            guard let found = source.microscaled, found.order == nil else { return nil }
            return (found.weight, order)
        case .computed(let source):
            if let rows = source as? DequantizedRows {
                return (rows.weight as? any MicroscaledWeight).map { ($0, nil) }
            }
            return (source as? RecodedRows)?.source.recipe.microscaled
        }
    }

    /// Rows in an order, where there is one.
    func ordered(_ order: RowMap?) -> Recipe { order.map { .rows(self, $0) } ?? self }
}

extension MicroscaledWeight {
    /// Whether every group scale is one that passes a test.
    func scales(all passes: (UInt8) -> Bool) throws(CheckpointError) -> Bool {
        for part in (0..<shape[0]).pieces(of: Tile.rows(columns: groups)) {
            let bytes = Scratch(byteCount: part.count * groups)
            try writeScales(rows: part, into: bytes.bytes)
            guard (0..<part.count * groups).allSatisfy({ passes(bytes.bytes[$0]) }) else { return false }
        }
        return true
    }
}

extension Tensor {
    /// The weight as ggml's blocks of the same codes and scales, with the scale of the whole in a tensor of its own;
    /// `nil` where its form is another one or blocks cannot hold it. Named for GGUF.
    func exactBlocks() throws(CheckpointError) -> [Tensor]? {
        guard let (weight, order) = recipe.microscaled, shape == weight.shape else { return nil }
        let scale = weight.scale, dtype = scale.blocks
        guard shape[1] % dtype.blockCount == 0, name.hasSuffix(".weight"),
            try weight.scales(all: { GGMLBlocks.holds($0, scale) })
        else { return nil }
        let blocks = Tensor(
            name: name, dtype: dtype, shape: shape, recipe: .computed(BlockRows(weight: weight)).ordered(order))
        let factor = try weight.wholeScale().factor
        guard factor != 1 else { return [blocks] }
        let bytes = factor.littleEndianBytes
        let beside = Tensor(
            name: String(name.dropLast("weight".count)) + "scale", dtype: .f32, shape: [1],
            recipe: .computed(KnownBytes(bytes: bytes, rowByteCount: bytes.count)))
        return [blocks, beside]
    }

    /// Whether it holds another form's codes and scales, bit for bit.
    var isExactBlocks: Bool {
        switch recipe {
        case .computed(let source), .rows(.computed(let source), _): source is BlockRows
        default: false
        }
    }
}

extension Checkpoint {
    /// A GGUF checkpoint with the blocks of those weights that have them bit for bit, and a plain type for the others.
    func withExactBlocks(else dtype: DType) throws(CheckpointError) -> Checkpoint {
        let cast = try Cast(to: dtype).apply(to: self)
        var result = cast
        var blocks: DType?
        result.tensors = []
        for (tensor, plain) in zip(tensors, cast.tensors) {
            let exact = try tensor.exactBlocks()
            blocks = exact?.first?.dtype ?? blocks
            result.tensors += exact ?? [plain]
        }
        // The numbers of llama.cpp's file types MOSTLY_NVFP4 and MOSTLY_MXFP4_MOE.
        if let blocks { result.metadata["general.file_type"] = .u32(blocks == .nvfp4 ? 39 : 38) }
        return result
    }

    /// How many weights hold another form's codes and scales, bit for bit.
    package var exactBlockCount: Int { tensors.count { $0.isExactBlocks } }

    /// The checkpoint of a GGUF file whose weights of NVFP4 and MXFP4 are values, the tensors `.scale` beside them taken
    /// in: their codes can be packed again as they are.
    ///
    /// - Throws: for a scale that is no number.
    func dequantizingBlocks(to dtype: DType) throws(CheckpointError) -> Checkpoint {
        var result = self
        var factors: [ExactString: WholeScale] = [:]
        var beside: Set<ExactString> = []
        for tensor in tensors where tensor.dtype == .nvfp4 && tensor.shape.count == 2 {
            let prefix = String(tensor.name.dropLast("weight".count))
            for ending in ["scale", "input_scale"] { beside.insert(ExactString(prefix + ending)) }
            guard let scale = self.tensor(named: prefix + "scale") else { continue }
            let value = try scale.onlyFloat(file: path)
            factors[ExactString(tensor.name)] = .multiplier(value)
        }
        result.tensors = tensors.compactMap { tensor in
            guard !beside.contains(ExactString(tensor.name)) else { return nil }
            guard [.nvfp4, .mxfp4].contains(tensor.dtype), tensor.shape.count == 2 else { return tensor }
            let weight = BlockWeight(tensor, factor: factors[ExactString(tensor.name)] ?? .none)
            return Tensor(
                name: tensor.name, dtype: dtype, shape: tensor.shape,
                recipe: .computed(DequantizedRows(weight: weight, dtype: dtype)))
        }
        return result
    }
}

extension Tensor {
    /// The value of a tensor that holds one number of F32.
    fileprivate func onlyFloat(file: String) throws(CheckpointError) -> Float {
        guard dtype == .f32, count == 1 else {
            throw CheckpointError(
                file: file, tensor: name,
                "has the type \(dtype) and \(count.grouped) values; the scale of a weight is one F32")
        }
        let value = try withBytes(rows: 0..<1) { bytes in
            Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
        }
        guard value.isFinite, value > 0 else {
            throw CheckpointError(file: file, tensor: name, "is \(value); the scale of a weight is a positive number")
        }
        return value
    }
}
