internal import Formats
internal import Kernels

/// The steps of `mx.quantize` that depend on the type of the weights.
enum MLXRounding {
    /// Rounds values to a type: F16 or BF16; others stay as they are.
    static func round(_ values: UnsafeMutablePointer<Float>, count: Int, as dtype: DType) {
        guard dtype == .f16 || dtype == .bf16 else { return }
        let narrow = Scratch(byteCount: 2 * count)
        let bytes = UnsafeMutableRawBufferPointer(start: narrow.base, count: 2 * count)
        Codec.encode(dtype, values, rows: 1, rowLength: count, into: bytes)
        Codec.decode(dtype, UnsafeRawBufferPointer(bytes), count: count, into: values)
    }

    /// The E8M0 code of a scale: its logarithm, rounded to the type, and that to a whole number. A scale of zero counts
    /// as 1.
    ///
    /// A logarithm close enough to a middle between whole numbers is rounded to the middle itself, which then goes to the
    /// even one. How close that is depends on the digits of the type: the bound is found from them, so that no
    /// library's logarithm decides.
    static func powerOfTwo(near scale: Float, _ dtype: DType) -> UInt8 {
        guard scale > 0 else { return 127 }
        let digits = dtype == .bf16 ? 8 : dtype == .f16 ? 11 : 24
        let below = Int(scale.exponent), middle = Double(below) + 0.5
        // The middle's neighbours in the type lie twice this far away.
        let roots = max(1, digits - Int(middle.exponent))
        var near = 2.0
        for _ in 0..<roots { near = near.squareRoot() }
        let isUpEven = (below + 1) % 2 == 0
        let significand = Double(scale.significand), root = 2.0.squareRoot()
        let isUp = isUpEven ? significand >= root / near : significand > root * near
        return UInt8(min(254, max(0, below + (isUp ? 1 : 0) + 127)))
    }
}
