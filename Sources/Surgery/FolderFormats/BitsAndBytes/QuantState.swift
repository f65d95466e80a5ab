internal import Checkpoints
internal import Formats

/// The JSON that bitsandbytes stores with a quantized weight, in the tensor `quant_state.bitsandbytes__nf4` or
/// `…__fp4`.
struct QuantState: Sendable {
    var levels: FourBitLevels
    /// Number of weights that share a scale.
    var block: Int
    /// The type of the original weight: F32, F16 or BF16.
    var dtype: DType
    /// [out, in]
    var shape: [Int]
    /// The mean that was subtracted from the scales before they were quantized; `nil` without double quantization.
    var offset: Float?

    /// The block sizes that bitsandbytes accepts.
    static let blocks = [32, 64, 128, 256, 512, 1024, 2048, 4096]
    private static let types: [(name: String, dtype: DType)] = [
        ("float32", .f32), ("float16", .f16), ("bfloat16", .bf16),
    ]
    /// A state is a few hundred bytes.
    static let longest = 1 << 16

    /// The JSON text as Python's `json.dumps` writes it.
    var text: String {
        let type = QuantState.types.first { $0.dtype == dtype }?.name ?? "float32"
        var text = "{\"quant_type\": \"\(levels.rawValue)\", \"blocksize\": \(block), \"dtype\": \"\(type)\", "
        text += "\"shape\": [\(shape.map(String.init).joined(separator: ", "))]"
        if let offset {
            text += ", \"nested_blocksize\": \(DynamicMap.block), \"nested_dtype\": \"float32\", "
            text += "\"nested_offset\": \(Double(offset))"
        }
        return text + "}"
    }

    /// The state of a weight to be quantized.
    init(levels: FourBitLevels, block: Int, dtype: DType, shape: [Int], offset: Float?) {
        self.levels = levels
        self.block = block
        self.dtype = dtype
        self.shape = shape
        self.offset = offset
    }

    /// Reads the state of a module.
    ///
    /// - Throws: when it is not this JSON, or has values that bitsandbytes does not accept.
    init(_ module: CodedModule, ending: String) throws(CheckpointError) {
        let tensor = try module.part(ending, .u8)
        guard tensor.byteCount <= QuantState.longest else {
            throw module.refused(
                ending, "has \(tensor.byteCount.grouped) bytes; a state has at most \(QuantState.longest.grouped)")
        }
        let json = try tensor.withBytes(rows: 0..<tensor.rowCount) { try? JSON.parse($0).object }
        guard let json else { throw module.refused(ending, "is not a JSON object") }
        guard let levels = json["quant_type"]?.string.flatMap(FourBitLevels.init(rawValue:)),
            ending.hasSuffix("__" + levels.rawValue)
        else {
            let type = json["quant_type"]?.string ?? "none"
            throw module.refused(ending, "has the quant_type '\(type)', which differs from the tensor's name")
        }
        let block = json["blocksize"]?.int ?? 0
        guard QuantState.blocks.contains(block) else {
            let known = QuantState.blocks.map(String.init).joined(separator: ", ")
            throw module.refused(ending, "has the blocksize \(block); bitsandbytes has \(known)")
        }
        let name = json["dtype"]?.string ?? "none"
        guard let type = QuantState.types.first(where: { $0.name == name }) else {
            throw module.refused(ending, "has the dtype '\(name)'; bitsandbytes has float32, float16 and bfloat16")
        }
        let shape = json["shape"]?.array?.map { $0.int ?? 0 } ?? []
        guard shape.count == 2, shape.allSatisfy({ $0 > 0 }), let count = shape.checkedProduct, count < Int.max / 2
        else {
            throw module.refused(ending, "has the shape \(shape); a weight is a matrix")
        }
        self.levels = levels
        self.block = block
        dtype = type.dtype
        self.shape = shape
        if json["nested_blocksize"] != nil || json["nested_offset"] != nil {
            let nested = json["nested_blocksize"]?.int ?? 0
            guard nested == DynamicMap.block, let value = json["nested_offset"]?.double, Float(value).isFinite else {
                throw module.refused(
                    ending,
                    "has the nested_blocksize \(nested) and no finite nested_offset; bitsandbytes has "
                        + "\(DynamicMap.block) and an offset")
            }
            offset = Float(value)
        }
    }
}
