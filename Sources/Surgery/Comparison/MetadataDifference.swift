internal import Checkpoints
public import Formats

/// Differences between two checkpoints outside the tensors: GGUF metadata, config.json, `__metadata__`, files.
public struct MetadataDifference: Sendable {
    /// A changed value.
    public struct Change: Sendable {
        /// The key.
        public let key: String
        /// The old value, shortened.
        public let from: JSON
        /// The new value, shortened.
        public let to: JSON
    }

    /// Keys that only the second has, with their values.
    public private(set) var added: [(key: String, value: JSON)] = []
    /// Keys that only the first has, with their values.
    public private(set) var removed: [(key: String, value: JSON)] = []
    /// Keys whose values differ.
    public private(set) var changed: [Change] = []

    /// Whether there are no differences.
    public var isEmpty: Bool { added.isEmpty && removed.isEmpty && changed.isEmpty }

    private static let longestArray = 8
    private static let longestText = 80

    /// Compares two checkpoints; `nil` when their containers store metadata differently.
    init?(from a: Checkpoint, to b: Checkpoint) {
        guard MetadataDifference.areAlike(a, b) else { return nil }
        let before = MetadataDifference.values(a), after = MetadataDifference.values(b)
        let old = Dictionary(before.map { (ExactString($0.key), $0) }, uniquingKeysWith: { first, _ in first })
        let new = Set(after.map { ExactString($0.key) })
        for value in after {
            guard let other = old[ExactString(value.key)] else {
                added.append((value.key, value.shown))
                continue
            }
            if !value.content.isSame(as: other.content) {
                changed.append(Change(key: value.key, from: other.shown, to: value.shown))
            }
        }
        removed = before.filter { !new.contains(ExactString($0.key)) }.map { ($0.key, $0.shown) }
    }

    /// Whether both have the same form. A function of its own, as Debian's Swift 6.2.3 cannot compile it within `init`.
    @inline(never)
    private static func areAlike(_ a: Checkpoint, _ b: Checkpoint) -> Bool { a.form == b.form }

    /// A value from either container.
    private struct Value {
        let key: String
        let content: Content

        /// The value in the output.
        var shown: JSON {
            switch content {
            case .json(let value): value.shortened(longestArray, longestText)
            case .gguf(let value): value.json(longest: longestArray).shortened(longestArray, longestText)
            case .file(let bytes): .string("\(bytes.count.grouped) bytes")
            }
        }
    }

    private enum Content {
        case json(JSON)
        case gguf(GGUFValue)
        case file([UInt8])

        /// Whether both have the same bytes.
        func isSame(as other: Content) -> Bool {
            switch (self, other) {
            case (.json(let a), .json(let b)): a.compact.utf8.elementsEqual(b.compact.utf8)
            case (.gguf(let a), .gguf(let b)): a.isIdentical(to: b)
            case (.file(let a), .file(let b)): a == b
            default: false
            }
        }
    }

    private static func values(_ checkpoint: Checkpoint) -> [Value] {
        func members(_ object: JSONObject?, _ prefix: String) -> [Value] {
            (object?.members).map { $0.map { Value(key: "\(prefix):\($0)", content: .json($1)) } } ?? []
        }
        return checkpoint.metadata.pairs.map { Value(key: $0.key, content: .gguf($0.value)) }
            + members(checkpoint.config, "config.json") + members(checkpoint.headerMetadata, "__metadata__")
            + checkpoint.companions.map { Value(key: $0.name, content: .file($0.contents)) }
    }
}

extension JSON {
    /// The value with long arrays and objects replaced by their count, and long texts shortened.
    fileprivate func shortened(_ longestArray: Int, _ longestText: Int) -> JSON {
        if let array, array.count > longestArray { return .object(JSONObject([("count", .int(array.count))])) }
        if let object, object.count > longestArray { return .object(JSONObject([("count", .int(object.count))])) }
        if let string, string.count > longestText { return .string(string.prefix(longestText) + "…") }
        return self
    }
}

extension GGUFValue {
    /// Whether both are stored in the same bytes: NaN equals itself, and texts are equal only byte for byte.
    fileprivate func isIdentical(to other: GGUFValue) -> Bool {
        switch (self, other) {
        case (.f32(let a), .f32(let b)): a.bitPattern == b.bitPattern
        case (.f64(let a), .f64(let b)): a.bitPattern == b.bitPattern
        case (.string(let a), .string(let b)): a.utf8.elementsEqual(b.utf8)
        case (.array(let type, let a), .array(let otherType, let b)):
            type == otherType && a.count == b.count && zip(a, b).allSatisfy { $0.isIdentical(to: $1) }
        default: self == other
        }
    }
}
