internal import Formats
internal import Weights

/// The steps of `mx.quantize` that depend on the type of the weights.
enum MLXRounding {
    /// Rounds values to F16 or BF16; other types leave them unchanged.
    static func round(_ values: UnsafeMutablePointer<Float>, count: Int, as dtype: DType) {
        guard dtype == .f16 || dtype == .bf16 else { return }
        dtype.round(values, count: count)
    }

    /// The E8M0 code of a scale: the smallest power of two that is not below it, so that no quotient exceeds 6. Zero
    /// counts as 1.
    static func powerOfTwo(above scale: Float) -> UInt8 {
        guard scale > 0 else { return 127 }
        let exponent = Int(scale.exponent) + (scale.significand > 1 ? 1 : 0)
        return UInt8(min(254, max(0, exponent + 127)))
    }
}
