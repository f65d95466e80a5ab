internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

/// The four-bit formats of bitsandbytes, NF4 and FP4.
///
/// `X.weight` U8 [ceil(count/2), 1] holds codes in the order of the flat weight, the first of a byte in its high half;
/// `X.weight.absmax` the scale of each block, `X.weight.quant_map` the value of each code, and
/// `X.weight.quant_state.bitsandbytes__nf4` a JSON text with the shape. With double quantization `absmax` is U8, and
/// `X.weight.nested_absmax`, `X.weight.nested_quant_map` and an offset in the JSON give the scales. The bytes of the
/// codes can be stored as F16, BF16 or F32 (`bnb_4bit_quant_storage`), which divides the rows by the size of that type.
struct BitsAndBytes: QuantFormat {
    let name = "bitsandbytes"
    let mark = ".weight.absmax"
    let endings =
        [".weight", ".weight.absmax", ".weight.quant_map", ".weight.nested_absmax", ".weight.nested_quant_map"]
        + FourBitLevels.allCases.map(BitsAndBytes.stateEnding)

    /// Reads the configuration.
    ///
    /// - Throws: for LLM.int8.
    init(_ settings: JSONObject, file: String) throws(CheckpointError) {
        let isFour = settings["load_in_4bit"]?.bool ?? settings["_load_in_4bit"]?.bool ?? false
        guard isFour else {
            throw CheckpointError(
                file: file, "is quantized to eight bits by bitsandbytes (LLM.int8), which resect does not read",
                hint: "resect reads NF4 and FP4 of bitsandbytes")
        }
    }

    /// The format of a checkpoint without settings whose weights have a `quant_state`.
    init?(statesIn checkpoint: Checkpoint) {
        let endings = FourBitLevels.allCases.map(BitsAndBytes.stateEnding)
        guard checkpoint.tensors.contains(where: { endings.contains(where: $0.name.hasSuffix) }) else { return nil }
    }

    static func stateEnding(_ levels: FourBitLevels) -> String {
        ".weight.quant_state.bitsandbytes__" + levels.rawValue
    }

    func weight(of module: CodedModule) throws(CheckpointError) -> any CodedWeight {
        let states = FourBitLevels.allCases.map(BitsAndBytes.stateEnding).filter { module.parts[$0] != nil }
        guard states.count == 1, let ending = states.first else {
            throw module.refused(".weight", "has \(states.count) quantization states; a quantized weight has one")
        }
        let state = try QuantState(module, ending: ending)
        let count = state.shape[0] * state.shape[1]  // fits: the product was checked
        let blocks = (count - 1) / state.block + 1
        let codes = try module.part(".weight", .u8, .bf16, .f16, .f32)
        let rows = (count + 1) / 2 / codes.dtype.blockByteCount
        guard codes.shape == [rows, 1], codes.byteCount == (count + 1) / 2 else {
            throw module.refused(
                ".weight", "has the shape \(codes.shape); the other tensors of the weight require [\(rows), 1]")
        }
        try check(try module.part(".weight.quant_map", .f32, shape: [16]), module, state.levels)
        guard let offset = state.offset else {
            for extra in [".weight.nested_absmax", ".weight.nested_quant_map"] where module.parts[extra] != nil {
                throw module.refused(extra, "is present, but the quantization state of the weight has no nested blocks")
            }
            let scales = try module.part(".weight.absmax", .f32, shape: [blocks])
            return BitsAndBytesWeight(state: state, codes: codes, scales: scales, nested: nil)
        }
        let scales = try module.part(".weight.absmax", .u8, shape: [blocks])
        let nested = try BitsAndBytesWeight.Nested(
            scales: module.part(".weight.nested_absmax", .f32, shape: [(blocks - 1) / DynamicMap.block + 1]),
            map: module.floats(module.part(".weight.nested_quant_map", .f32, shape: [256])), offset: offset)
        return BitsAndBytesWeight(state: state, codes: codes, scales: scales, nested: nested)
    }

    /// bitsandbytes decodes with its own levels and ignores the file's map, so the two must be equal.
    private func check(_ map: Tensor, _ module: CodedModule, _ levels: FourBitLevels) throws(CheckpointError) {
        for (code, (found, known)) in zip(try module.floats(map), levels.values).enumerated() where found != known {
            throw CheckpointError(
                file: module.file, tensor: map.name,
                "has the value \(found) for code \(code); \(levels.rawValue) has \(known)")
        }
    }
}

extension CodedModule {
    /// The values of a small part of type F32.
    func floats(_ tensor: Tensor) throws(CheckpointError) -> [Float] {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            (0..<tensor.count).map { index in
                Float(bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)))
            }
        }
    }
}

/// A weight in bitsandbytes format.
private struct BitsAndBytesWeight: CodedWeight {
    struct Nested: Sendable {
        let scales: Tensor
        let map: [Float]
        let offset: Float
    }

    let state: QuantState
    let codes: Tensor
    let scales: Tensor
    let nested: Nested?

    var shape: [Int] { state.shape }
    var valueType: DType { state.dtype }
    var description: String { "\(state.levels.rawValue): \(codes.recipe)" }

    func writeValues(
        rows: Range<Int>, columns: Range<Int>, into output: UnsafeMutablePointer<Float>
    ) throws(CheckpointError) {
        let length = shape[1]
        if columns == 0..<length {
            for part in (rows.lowerBound * length..<rows.upperBound * length).pieces(of: Tensor.valuesAtOnce) {
                try write(part, into: output + part.lowerBound - rows.lowerBound * length)
            }
            return
        }
        for (index, row) in rows.enumerated() {
            let start = row * length + columns.lowerBound
            try write(start..<start + columns.count, into: output + index * columns.count)
        }
    }

    /// Writes the values with these indices in the flat weight.
    private func write(_ places: Range<Int>, into output: UnsafeMutablePointer<Float>) throws(CheckpointError) {
        guard !places.isEmpty else { return }
        let block = state.block
        let blocks = places.lowerBound / block..<(places.upperBound - 1) / block + 1
        let whole = blocks.lowerBound * block..<min(blocks.upperBound * block, shape[0] * shape[1])
        let factors = Scratch(floats: blocks.count)
        try writeScales(blocks, into: factors.floats)
        let wide = Scratch(floats: whole == places ? 0 : whole.count)
        let bytes = whole.lowerBound / 2..<(whole.upperBound + 1) / 2, size = codes.dtype.blockByteCount
        let first = bytes.lowerBound / size
        try codes.withBytes(rows: first..<(bytes.upperBound + size - 1) / size) { held in
            guard let base = held.bindMemory(to: UInt8.self).baseAddress else { return }
            FloatCodes.decode(
                base + bytes.lowerBound - first * size, count: whole.count, block: block, values: state.levels.values,
                scales: factors.floats,
                order: .highFirst, into: whole == places ? output : wide.floats)
        }
        if whole != places {
            output.update(from: wide.floats + places.lowerBound - whole.lowerBound, count: places.count)
        }
    }

    private func writeScales(_ blocks: Range<Int>, into output: UnsafeMutablePointer<Float>) throws(CheckpointError) {
        guard let nested else { return try scales.writeValues(rows: 0..<1, columns: blocks, into: output) }
        let outer = blocks.lowerBound / DynamicMap.block..<(blocks.upperBound - 1) / DynamicMap.block + 1
        let factors = Scratch(floats: outer.count)
        try nested.scales.writeValues(rows: 0..<1, columns: outer, into: factors.floats)
        try scales.withBytes(rows: 0..<1) { bytes in
            for (index, code) in bytes[blocks].enumerated() {
                let factor = factors.floats[(blocks.lowerBound + index) / DynamicMap.block - outer.lowerBound]
                output[index] = nested.map[Int(code)] * factor + nested.offset
            }
        }
    }
}
