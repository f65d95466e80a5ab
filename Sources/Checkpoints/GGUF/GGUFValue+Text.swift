package import Formats

extension GGUFValue {
    /// The names of the types in commands and messages, by number.
    private static let typeNames = [
        "u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "str", "array", "u64", "i64", "f64",
    ]

    /// The name of a type: `u32`.
    static func typeName(_ type: UInt32) -> String {
        typeNames.indices.contains(Int(type)) ? typeNames[Int(type)] : "type \(type)"
    }

    /// The value as it is set: `u32:7`, `str:llama`, `[i32]:1,2,3`.
    package var text: String {
        switch self {
        case .array(let elementType, let values):
            let shown = values.prefix(8).map { $0.json().compact }.joined(separator: ",")
            return "[\(GGUFValue.typeName(elementType))]:\(shown)\(values.count > 8 ? ",…" : "")"
        case .string(let value): return "str:\(value)"
        default: return "\(GGUFValue.typeName(type)):\(json().compact)"
        }
    }

    /// The value as JSON: numbers that are not finite are `null`, and of arrays with more than `longest` elements only
    /// the count is given.
    package func json(longest: Int = .max) -> JSON {
        switch self {
        case .string(let value): .string(value)
        case .bool(let value): .bool(value)
        case .array(_, let values) where values.count > longest: .object(JSONObject([("count", .int(values.count))]))
        case .array(_, let values): .array(values.map { $0.json(longest: longest) })
        case .u64(let value): .number(String(value))
        case .f32(let value): value.isFinite ? .number("\(value)") : .null
        case .f64(let value): .double(value)
        default: int.map(JSON.int) ?? .null
        }
    }

    /// Parses what follows `KEY=` in an assignment: `TYPE:VALUE`, where an array is `[TYPE]:` and the elements of a
    /// JSON array without brackets. The text of a `str` is used unchanged.
    ///
    /// - Returns: `nil` when the type is unknown or the value is not of this type.
    package init?(parsing text: String) {
        guard let colon = text.utf8.firstIndex(of: UInt8(ascii: ":")) else { return nil }
        let name = text[..<colon]
        let value = String(text[text.utf8.index(after: colon)...])
        if name.hasPrefix("["), name.hasSuffix("]") {
            guard let type = GGUFValue.type(named: name.dropFirst().dropLast()),
                let elements = (try? JSON.parse("[\(value)]"))?.array
            else { return nil }
            let values = elements.compactMap { GGUFValue(type: type, json: $0) }
            guard values.count == elements.count else { return nil }
            self = .array(elementType: type, values)
            return
        }
        guard let type = GGUFValue.type(named: name) else { return nil }
        switch (type, value) {
        case (8, _): self = .string(value)
        case (7, "true"), (7, "false"): self = .bool(value == "true")
        default: self.init(type: type, json: .number(value))
        }
    }

    /// The number of a scalar type; `string` is accepted for `str`.
    private static func type(named name: Substring) -> UInt32? {
        if name == "string" { return 8 }
        guard name != "array" else { return nil }
        return typeNames.firstIndex { $0 == name }.map(UInt32.init)
    }

    /// A value of a type from JSON; `nil` when it does not fit.
    private init?(type: UInt32, json: JSON) {
        func integer<Value: FixedWidthInteger>(_ make: (Value) -> GGUFValue) -> GGUFValue? {
            guard case .number(let text) = json, !text.hasPrefix("+") else { return nil }
            return Value(text).map(make)
        }
        func float<Value: LosslessStringConvertible & BinaryFloatingPoint>(
            _ make: (Value) -> GGUFValue
        ) -> GGUFValue? {
            // A number that is too large is no infinity; `inf` is one.
            guard case .number(let text) = json, let value = Value(text),
                value.isFinite || !text.contains(where: \.isNumber)
            else { return nil }
            return make(value)
        }
        let value: GGUFValue? =
            switch type {
            case 0: integer(GGUFValue.u8)
            case 1: integer(GGUFValue.i8)
            case 2: integer(GGUFValue.u16)
            case 3: integer(GGUFValue.i16)
            case 4: integer(GGUFValue.u32)
            case 5: integer(GGUFValue.i32)
            case 6: float(GGUFValue.f32)
            case 7: json.bool.map(GGUFValue.bool)
            case 8: json.string.map(GGUFValue.string)
            case 10: integer(GGUFValue.u64)
            case 11: integer(GGUFValue.i64)
            case 12: float(GGUFValue.f64)
            default: nil
            }
        guard let value else { return nil }
        self = value
    }
}
