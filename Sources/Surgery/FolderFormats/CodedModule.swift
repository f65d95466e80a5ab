internal import Checkpoints
package import Formats

/// The tensors that together store one quantized weight, keyed by the suffix of their names: `X.qweight` is the part
/// `.qweight`.
struct CodedModule: Sendable {
    /// The name of the module: `model.layers.0.mlp.up_proj`.
    let name: String
    /// The name of the weight that the parts decode to: that of the module, or of one of the experts in it.
    let weightName: String
    /// The path of the checkpoint as the user gave it, for messages.
    let file: String
    /// The parts by name suffix, with the dot.
    let parts: [String: Tensor]

    /// A module with these parts.
    init(name: String, weightName: String? = nil, file: String, parts: [String: Tensor]) {
        self.name = name
        self.weightName = weightName ?? name + ".weight"
        self.file = file
        self.parts = parts
    }

    /// The modules of single experts whose parts are stacked in the parts of this module.
    ///
    /// - Parameter members: the experts; `nil` when resect does not know the module as a stack of experts.
    func experts(_ members: StackedExperts.Members?) throws(CheckpointError) -> [CodedModule] {
        for (ending, part) in parts.sorted(by: { $0.key < $1.key }) {
            guard let members else {
                throw refused(
                    ending, "has the shape \(part.shape), a stack of experts; resect knows none in this architecture")
            }
            guard part.shape.count == 3, part.shape[0] == members.count, part.count > 0 else {
                throw refused(
                    ending,
                    "has the shape \(part.shape); the configuration states \(members.count) experts, a matrix for each")
            }
        }
        return (0..<(members?.count ?? 0)).map { expert in
            CodedModule(
                name: name, weightName: (members?.module(expert) ?? name) + ".weight", file: file,
                parts: parts.mapValues { $0.matrix(expert) })
        }
    }

    /// An error about one of the parts.
    func refused(_ ending: String, _ problem: String, hint: String? = nil) -> CheckpointError {
        CheckpointError(file: file, tensor: name + ending, problem, hint: hint)
    }

    /// A required part, which must have one of the types.
    func part(_ ending: String, _ types: DType...) throws(CheckpointError) -> Tensor {
        guard let tensor = parts[ending] else { throw refused(ending, "is missing; the quantized weight needs it") }
        guard types.contains(tensor.dtype) else {
            let wanted = types.map(\.name).joined(separator: " or ")
            throw refused(ending, "has the type \(tensor.dtype); this part of a quantized weight is \(wanted)")
        }
        return tensor
    }

    /// A required part, which must have one of the types and the shape.
    func part(
        _ ending: String, _ types: DType..., shape: [Int]
    ) throws(CheckpointError) -> Tensor {
        guard let tensor = parts[ending] else { throw refused(ending, "is missing; the quantized weight needs it") }
        guard types.contains(tensor.dtype) else {
            let wanted = types.map(\.name).joined(separator: " or ")
            throw refused(ending, "has the type \(tensor.dtype); this part of a quantized weight is \(wanted)")
        }
        guard tensor.shape == shape else {
            throw refused(ending, "has the shape \(tensor.shape); the other tensors of the weight require \(shape)")
        }
        return tensor
    }

    /// The rows and columns of a part, which must be a matrix that is not empty.
    func matrix(_ tensor: Tensor) throws(CheckpointError) -> (rows: Int, columns: Int) {
        guard tensor.shape.count == 2, tensor.count > 0 else {
            throw CheckpointError(
                file: file, tensor: tensor.name, "has the shape \(tensor.shape); a quantized weight must be a matrix")
        }
        return (tensor.shape[0], tensor.shape[1])
    }
}

extension CodedModule {
    /// The values of a small I32 or I64 part.
    func integers(_ tensor: Tensor) throws(CheckpointError) -> [Int] {
        try tensor.withBytes(rows: 0..<tensor.rowCount) { bytes in
            (0..<tensor.count).map { index in
                tensor.dtype == .i64
                    ? Int(Int64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8 * index, as: Int64.self)))
                    : Int(Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4 * index, as: Int32.self)))
            }
        }
    }
}

extension DType {
    private static func known(_ name: String) -> DType {
        guard let type = DType(named: name) else { preconditionFailure("formats/quants/types.json has no \(name)") }
        return type
    }

    /// Signed 32-bit integers: words of codes in every format except MLX.
    static let i32 = known("I32")
    /// Unsigned 32-bit integers: words of codes in MLX.
    static let u32 = known("U32")
    /// Bytes, each with two codes.
    package static let u8 = known("U8")
    /// 8-bit floats: scales of NVFP4, and FP8 weights.
    package static let e4m3 = known("F8_E4M3")
    /// 8-bit powers of two: scales of MXFP4.
    package static let e8m0 = known("F8_E8M0")
    /// ggml's blocks of MXFP4.
    package static let mxfp4 = known("MXFP4")
    /// ggml's blocks of NVFP4.
    package static let nvfp4 = known("NVFP4")
    /// Signed 64-bit integers.
    static let i64 = known("I64")
}
