internal import Checkpoints
internal import Formats
internal import Kernels

extension Recipe {
    /// The E2M1 weight from which the rows are computed, and the order of its rows; `nil` for other rows.
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

    /// Rows, permuted by `order` unless that is nil.
    func ordered(_ order: RowMap?) -> Recipe { order.map { .rows(self, $0) } ?? self }
}

extension MicroscaledWeight {
    /// Whether every group scale passes a test.
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
    /// The weight as ggml blocks with the same codes and scales, and its global scale as a separate tensor, with GGUF
    /// names; `nil` when it has another format or blocks cannot hold it.
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

    /// Whether it keeps the codes and scales of another format bit for bit.
    var isExactBlocks: Bool {
        switch recipe {
        case .computed(let source), .rows(.computed(let source), _): source is BlockRows
        default: false
        }
    }
}

extension Checkpoint {
    /// A GGUF checkpoint that keeps weights bit for bit as blocks where possible, and stores the others in `dtype`.
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
        // llama.cpp's file types MOSTLY_NVFP4 and MOSTLY_MXFP4_MOE.
        if let blocks { result.metadata["general.file_type"] = .u32(blocks == .nvfp4 ? 39 : 38) }
        return result
    }

    /// The number of weights that keep the codes and scales of another format bit for bit.
    package var exactBlockCount: Int { tensors.count { $0.isExactBlocks } }

    /// A GGUF checkpoint whose NVFP4 and MXFP4 weights include their separate `.scale` tensors, so that their codes can
    /// be moved to another format unchanged.
    ///
    /// - Throws: for a scale that is not a positive number.
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
                recipe: .computed(DequantizedRows(weight: weight, dtype: dtype, format: tensor.dtype.name)))
        }
        return result
    }
}

extension Tensor {
    /// The value of a tensor with one F32 element.
    fileprivate func onlyFloat(file: String) throws(CheckpointError) -> Float {
        guard dtype == .f32, count == 1 else {
            throw CheckpointError(
                file: file, tensor: name,
                "has the type \(dtype) and \(count.grouped) values; the scale of a weight is a single F32")
        }
        let value = try withBytes(rows: 0..<1) { bytes in
            Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
        }
        guard value.isFinite, value > 0 else {
            throw CheckpointError(file: file, tensor: name, "is \(value); the scale of a weight must be positive")
        }
        return value
    }
}
