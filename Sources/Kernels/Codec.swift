internal import CKernels
public import Formats

/// Decoding and encoding of element types, by the kernels of CKernels.
///
/// Every instruction set gives the same bytes.
public enum Codec {
    private static var level: Int32 { InstructionSet.best.rawValue }

    /// Whether the type can be decoded to f32.
    public static func decodes(_ dtype: DType) -> Bool {
        dtype.ggml.map { resect_decoder($0, level) != nil } ?? false
    }

    /// Whether f32 can be encoded in the type.
    public static func encodes(_ dtype: DType) -> Bool {
        dtype.ggml.map { resect_encoder($0, level) != nil } ?? false
    }

    /// Whether the bytes of the type depend on the importance of columns.
    public static func usesImportance(_ dtype: DType) -> Bool {
        dtype.ggml.map { resect_uses_importance($0) != 0 } ?? false
    }

    /// The index of the first value that is NaN or whose magnitude exceeds a limit.
    public static func firstBeyond(_ limit: Float, in values: UnsafePointer<Float>, count: Int) -> Int? {
        let index = resect_first_beyond(values, count, limit)
        return index < count ? index : nil
    }

    /// Decodes `count` elements to f32.
    ///
    /// - Parameters:
    ///   - source: blocks of `dtype`, at least `dtype.byteCount(of: count)` bytes, at any address.
    ///   - output: room for `count` values; it may not overlap the source.
    /// - Precondition: `decodes(dtype)`, and `count` fills whole blocks.
    public static func decode(
        _ dtype: DType, _ source: UnsafeRawBufferPointer, count: Int,
        into output: UnsafeMutablePointer<Float>, by instructions: InstructionSet = .best
    ) {
        let level = instructions.rawValue
        guard let decode = dtype.ggml.flatMap({ resect_decoder($0, level) }),
            let needed = dtype.byteCount(of: count), source.count >= needed
        else { preconditionFailure("\(dtype): \(count) elements from \(source.count) bytes") }
        if let base = source.baseAddress, count > 0 { decode(base, output, count) }
    }

    /// Encodes rows of f32 values, rounding as ggml's reference does.
    ///
    /// - Parameters:
    ///   - source: `rows` times `rowLength` values.
    ///   - importance: how much an error in each column matters, `rowLength` weights; types that have no use for it
    ///     ignore it.
    ///   - output: room for `dtype.byteCount(of: rows * rowLength)` bytes; it may not overlap the source.
    /// - Precondition: `encodes(dtype)`, and a row fills whole blocks.
    public static func encode(
        _ dtype: DType, _ source: UnsafePointer<Float>, rows: Int, rowLength: Int,
        importance: UnsafePointer<Float>? = nil, into output: UnsafeMutableRawBufferPointer,
        by instructions: InstructionSet = .best
    ) {
        let level = instructions.rawValue
        let (count, overflow) = rows.multipliedReportingOverflow(by: rowLength)
        guard !overflow, rows >= 0, let encode = dtype.ggml.flatMap({ resect_encoder($0, level) }),
            dtype.byteCount(of: rowLength) != nil, let needed = dtype.byteCount(of: count), output.count >= needed
        else { preconditionFailure("\(dtype): \(rows) rows of \(rowLength) into \(output.count) bytes") }
        if let base = output.baseAddress, count > 0 { encode(source, importance, base, rows, rowLength) }
    }
}
