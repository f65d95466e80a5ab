/// A JSON value that survives a round trip: members keep their order and numbers keep their text.
///
/// Foundation's decoders rewrite `1.0E-5` and accept duplicate keys silently, so they may not touch a
/// `config.json` or a safetensors header.
public enum JSON: Sendable, Equatable {
    /// `null`
    case null
    /// `true` or `false`
    case bool(Bool)
    /// A number, as it was written.
    case number(String)
    /// A string, unescaped.
    case string(String)
    /// An array.
    case array([JSON])
    /// An object with its members in order.
    case object(JSONObject)

    /// A number from an integer.
    public static func int(_ value: Int) -> JSON { .number(String(value)) }

    /// A number from a double in the shortest text that reads back equal; `null` when not finite.
    public static func double(_ value: Double) -> JSON {
        value.isFinite ? .number("\(value)") : .null
    }

    /// The string, when it is one.
    public var string: String? { if case .string(let value) = self { value } else { nil } }

    /// The elements, when it is an array.
    public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }

    /// The members, when it is an object.
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }

    /// The truth value, when it is one.
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// The integer, when the number is written as one and fits.
    public var int: Int? { if case .number(let text) = self { Int(text) } else { nil } }

    /// The number as a double.
    public var double: Double? { if case .number(let text) = self { Double(text) } else { nil } }

    /// The member of an object; `nil` for anything else.
    public subscript(key: String) -> JSON? { object?[key] }
}

/// The members of a JSON object, in order, each key once.
public struct JSONObject: Sendable, Equatable {
    /// The keys, in order.
    public private(set) var keys: [String] = []
    private var values: [JSON] = []
    /// Where each key is; empty while there are few keys, which are looked through faster than they are hashed.
    private var index: [ExactString: Int] = [:]
    private static let fewKeys = 8

    /// An object without members.
    public init() {}

    /// An object with the given members; a later duplicate replaces an earlier one.
    public init(_ members: [(String, JSON)]) {
        keys.reserveCapacity(members.count)
        values.reserveCapacity(members.count)
        for (key, value) in members { self[key] = value }
    }

    /// How many members there are.
    public var count: Int { keys.count }

    /// The members as pairs, in order.
    public var members: Zip2Sequence<[String], [JSON]> { zip(keys, values) }

    /// The value of a key. Setting keeps the position of an existing key, appends a new key, and removes with `nil`.
    public subscript(key: String) -> JSON? {
        get { position(of: key).map { values[$0] } }
        set {
            if let position = position(of: key) {
                if let newValue {
                    values[position] = newValue
                } else {
                    remove(at: position)
                }
            } else if let newValue {
                add(key, newValue)
            }
        }
    }

    /// Appends a member whose key must be new.
    ///
    /// - Returns: false, and nothing changed, when the key is there already.
    @discardableResult
    package mutating func append(_ key: String, _ value: JSON) -> Bool {
        guard position(of: key) == nil else { return false }
        add(key, value)
        return true
    }

    private func position(of key: String) -> Int? {
        let key = ExactString(key)
        return index.isEmpty ? keys.firstIndex { ExactString($0) == key } : index[key]
    }

    /// Adds a member whose key is new.
    private mutating func add(_ key: String, _ value: JSON) {
        keys.append(key)
        values.append(value)
        if !index.isEmpty {
            index[ExactString(key)] = keys.count - 1
        } else if keys.count > JSONObject.fewKeys {
            makeIndex()
        }
    }

    private mutating func remove(at position: Int) {
        keys.remove(at: position)
        values.remove(at: position)
        if !index.isEmpty { makeIndex() }
    }

    private mutating func makeIndex() {
        index = Dictionary(uniqueKeysWithValues: keys.enumerated().map { (ExactString($1), $0) })
    }

    /// Whether both have the same members in the same order.
    public static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.keys == b.keys && a.values == b.values
    }
}

/// A fault in a JSON text, with its offset.
public struct JSONError: Error, Equatable, Sendable {
    /// The problem, in words.
    public let problem: String
    /// Where it is, in bytes from the start of the text.
    public let byteOffset: Int
}
