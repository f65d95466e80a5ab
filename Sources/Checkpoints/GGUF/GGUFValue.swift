/// A metadata value of a GGUF file.
public enum GGUFValue: Sendable, Equatable {
    /// Type 0.
    case u8(UInt8)
    /// Type 1.
    case i8(Int8)
    /// Type 2.
    case u16(UInt16)
    /// Type 3.
    case i16(Int16)
    /// Type 4.
    case u32(UInt32)
    /// Type 5.
    case i32(Int32)
    /// Type 6.
    case f32(Float)
    /// Type 7.
    case bool(Bool)
    /// Type 8.
    case string(String)
    /// Type 9: elements of one type; the number of that type is kept for empty arrays.
    case array(elementType: UInt32, [GGUFValue])
    /// Type 10.
    case u64(UInt64)
    /// Type 11.
    case i64(Int64)
    /// Type 12.
    case f64(Double)

    /// An array of strings.
    public static func strings(_ values: [String]) -> GGUFValue {
        .array(elementType: 8, values.map(GGUFValue.string))
    }

    /// The number of the type in the file format.
    public var type: UInt32 {
        switch self {
        case .u8: 0
        case .i8: 1
        case .u16: 2
        case .i16: 3
        case .u32: 4
        case .i32: 5
        case .f32: 6
        case .bool: 7
        case .string: 8
        case .array: 9
        case .u64: 10
        case .i64: 11
        case .f64: 12
        }
    }

    /// The value as an integer of any width, if it is one and fits.
    public var int: Int? {
        switch self {
        case .u8(let value): Int(value)
        case .i8(let value): Int(value)
        case .u16(let value): Int(value)
        case .i16(let value): Int(value)
        case .u32(let value): Int(value)
        case .i32(let value): Int(value)
        case .u64(let value): Int(exactly: value)
        case .i64(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The number as a double, integers included.
    public var double: Double? {
        switch self {
        case .f32(let value): Double(value)
        case .f64(let value): value
        default: int.map(Double.init)
        }
    }

    /// The string, when it is one.
    public var string: String? { if case .string(let value) = self { value } else { nil } }

    /// The truth value, when it is one.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The elements, when it is an array.
    public var array: [GGUFValue]? { if case .array(_, let values) = self { values } else { nil } }
}
