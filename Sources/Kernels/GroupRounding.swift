internal import CKernels
package import Formats

/// How groups of neighbouring values become 4-bit codes with a scale and a zero point or a bias.
package struct GroupRounding: Sendable, Equatable {
    /// The rounding rules of other quantizers, whose results differ in the last bits. The offset is the zero point.
    package enum Rule: Sendable, Equatable {
        /// `code * scale + bias`, as `mx.quantize` on a CPU.
        case mlx
        /// `(code - offset) * scale`, as compressed-tensors: the offset is added before rounding, and every step is
        /// rounded to the type of the weights.
        case compressedTensors(symmetric: Bool)
        /// `(code - offset) * scale` in f32, the offset added after rounding: GPTQ and AWQ. No offset is below
        /// `leastZeroPoint`.
        case integer(symmetric: Bool, leastZeroPoint: Int)
    }

    /// The rule.
    package let rule: Rule
    /// Elements of a group.
    package let size: Int
    /// The type of the scales as they are stored: F32, F16 or BF16.
    package let scaleType: DType

    /// A rounding of groups of `size` elements.
    package init(_ rule: Rule, size: Int, scaleType: DType) {
        precondition([.f32, .f16, .bf16].contains(scaleType) && size > 0)
        self.rule = rule
        self.size = size
        self.scaleType = scaleType
    }

    private static func number(_ type: DType) -> Int32 {
        type == .f32 ? Int32(RESECT_AS_F32) : type == .f16 ? Int32(RESECT_AS_F16) : Int32(RESECT_AS_BF16)
    }

    private var kernelRule: resect_group_rule {
        let stored = GroupRounding.number(scaleType)
        var result = resect_group_rule()
        result.size = size
        result.scale_type = stored
        switch rule {
        case .mlx:
            result.kind = Int32(RESECT_ROUND_MLX)
            result.type = stored
        case .compressedTensors(let symmetric):
            result.kind = Int32(RESECT_ADD_THEN_ROUND)
            result.type = stored
            result.symmetric = symmetric ? 1 : 0
            // `torch.finfo(type).eps`
            result.least_scale = scaleType == .f32 ? 0x1p-23 : scaleType == .f16 ? 0x1p-10 : 0x1p-7
        case .integer(let symmetric, let leastZeroPoint):
            result.kind = Int32(RESECT_ROUND_THEN_ADD)
            result.type = Int32(RESECT_AS_F32)
            result.symmetric = symmetric ? 1 : 0
            result.least_scale = 1
            result.least_offset = Float(leastZeroPoint)
        }
        return result
    }

    /// Rounds groups.
    ///
    /// - Parameters:
    ///   - values: `groups * size` values.
    ///   - scales, offsets: room for one of each per group; scales, and biases of MLX, are rounded to `scaleType`.
    ///   - codes: room for one byte per value, 0 to 15; `nil` when only scales and offsets are wanted.
    /// - Returns: the first group that has no code, because a value or its scale is not finite; `nil` when all have.
    package func round(
        _ values: UnsafePointer<Float>, groups: Int, scales: UnsafeMutablePointer<Float>,
        offsets: UnsafeMutablePointer<Float>, codes: UnsafeMutablePointer<UInt8>?,
        by instructions: InstructionSet = .best
    ) -> Int? {
        var rule = kernelRule
        let done = resect_round_groups_of(&rule, values, groups, scales, offsets, codes, instructions.rawValue)
        return done == groups ? nil : done
    }

    /// The values of codes: `(code - offset) * scale`, or `code * scale + offset`, in f32.
    package static func values(
        _ codes: UnsafePointer<UInt8>, scales: UnsafePointer<Float>, offsets: UnsafePointer<Float>, isBias: Bool,
        groups: Int, size: Int, into output: UnsafeMutablePointer<Float>, by instructions: InstructionSet = .best
    ) {
        resect_group_values(codes, scales, offsets, isBias ? 1 : 0, groups, size, output, instructions.rawValue)
    }
}
