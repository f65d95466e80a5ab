internal import CKernels
public import Formats

/// Floats of four and eight bits in blocks with separate scales, by the kernels of CKernels.
///
/// Counts are elements, and blocks cover the whole run; every instruction set computes the same bytes.
public enum FloatCodes {
    /// Which half of a byte holds the first of its two codes.
    public enum Order: Sendable {
        case lowFirst, highFirst

        var number: Int32 { self == .lowFirst ? Int32(RESECT_LOW_FIRST) : Int32(RESECT_HIGH_FIRST) }
    }

    /// How a quotient is rounded to E2M1.
    public enum Rounding: Sendable, Equatable {
        /// Ties go to the even code, as in compressed-tensors.
        case even
        /// Ties go to the smaller magnitude, as in MLX; quotients are first rounded to F32, F16 or BF16.
        case down(quotients: DType)

        var numbers: (ties: Int32, type: Int32) {
            switch self {
            case .even: (Int32(RESECT_TIES_EVEN), Int32(RESECT_AS_F32))
            case .down(.bf16): (Int32(RESECT_TIES_DOWN), Int32(RESECT_AS_BF16))
            case .down(.f16): (Int32(RESECT_TIES_DOWN), Int32(RESECT_AS_F16))
            case .down: (Int32(RESECT_TIES_DOWN), Int32(RESECT_AS_F32))
            }
        }
    }

    /// The magnitudes of E2M1, then the same with a sign.
    public static let e2m1: [Float] = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]

    /// Writes the largest magnitude of each block; the last block may be short, and NaN is larger than any number.
    public static func largest(
        _ values: UnsafePointer<Float>, count: Int, block: Int, into output: UnsafeMutablePointer<Float>,
        by instructions: InstructionSet = .best
    ) {
        precondition(block > 0 && count >= 0)
        resect_largest_of_blocks(values, count, block, output, instructions.rawValue)
    }

    /// Divides each value by the largest magnitude of its block and writes the code of the nearest level, the first of two
    /// codes in the high half of the byte. The last block may be short.
    ///
    /// - Parameters:
    ///   - largest: the largest magnitude of each block.
    ///   - bounds: fifteen ascending bounds between the levels.
    ///   - codes: the sixteen codes of the levels, in order.
    ///   - output: room for half as many bytes as there are values, rounded up.
    /// - Precondition: a block is a multiple of 16.
    public static func encodeLevels(
        _ values: UnsafePointer<Float>, count: Int, block: Int, largest: UnsafePointer<Float>, bounds: [Float],
        codes: [UInt8], into output: UnsafeMutablePointer<UInt8>, by instructions: InstructionSet = .best
    ) {
        precondition(block > 0 && block % 16 == 0 && count >= 0 && bounds.count == 15 && codes.count == 16)
        resect_encode_levels(values, count, block, largest, bounds, codes, output, instructions.rawValue)
    }

    /// Writes the E2M1 codes of values divided by the scale of their block, the first of a byte in its low half.
    ///
    /// - Precondition: a block is a multiple of 16 and divides the count.
    public static func encodeE2M1(
        _ values: UnsafePointer<Float>, count: Int, block: Int, scales: UnsafePointer<Float>, rounding: Rounding,
        into output: UnsafeMutablePointer<UInt8>, by instructions: InstructionSet = .best
    ) {
        precondition(block > 0 && block % 16 == 0 && count >= 0 && count % block == 0)
        let (ties, type) = rounding.numbers
        resect_encode_e2m1(values, count, block, scales, ties, type, output, instructions.rawValue)
    }

    /// Decodes codes of four bits: the value of a code times the scale of its block, the last of which may be short.
    ///
    /// - Parameter values: the values of the sixteen codes.
    public static func decode(
        _ codes: UnsafePointer<UInt8>, count: Int, block: Int, values: [Float], scales: UnsafePointer<Float>,
        order: Order, into output: UnsafeMutablePointer<Float>, by instructions: InstructionSet = .best
    ) {
        precondition(block > 0 && count >= 0 && values.count == 16)
        resect_decode_nibbles(codes, count, block, values, scales, order.number, output, instructions.rawValue)
    }

    /// Decodes E4M3 with one NaN and no infinity.
    public static func decodeE4M3(
        _ codes: UnsafePointer<UInt8>, count: Int, into output: UnsafeMutablePointer<Float>,
        by instructions: InstructionSet = .best
    ) {
        resect_decode_e4m3(codes, output, count, instructions.rawValue)
    }

    /// Encodes E4M3, rounded to nearest, ties to even; values that are too large become 448.
    public static func encodeE4M3(
        _ values: UnsafePointer<Float>, count: Int, into output: UnsafeMutablePointer<UInt8>,
        by instructions: InstructionSet = .best
    ) {
        resect_encode_e4m3(values, output, count, instructions.rawValue)
    }

    /// Multiplies values by the scale of their block, the last of which may be short.
    public static func multiply(
        _ values: UnsafeMutablePointer<Float>, count: Int, block: Int, scales: UnsafePointer<Float>,
        by instructions: InstructionSet = .best
    ) {
        precondition(block > 0 && count >= 0)
        resect_multiply_blocks(values, count, block, scales, instructions.rawValue)
    }
}
