package import Formats

extension GGUFValue {
    /// The value as JSON; long arrays are only counted.
    package func json(longest: Int) -> JSON {
        if let string { return .string(string) }
        if let bool { return .bool(bool) }
        if let array {
            return array.count > longest
                ? .object(JSONObject([("count", .int(array.count))])) : .array(array.map { $0.json(longest: longest) })
        }
        if case .u64(let value) = self { return .number(String(value)) }
        if case .f32(let value) = self { return value.isFinite ? .number("\(value)") : .null }
        return int.map(JSON.int) ?? double.map(JSON.double) ?? .null
    }
}
