/// A tensor name with a place for the layer number, matched whole and in both directions.
///
/// `model.layers.{layer}.mlp.up_proj.weight` names layer 3's tensor, and reads `3` out of its name.
public struct NameTemplate: Sendable, Hashable {
    private let prefix: String
    private let suffix: String?

    /// Parses a template; without `{layer}` it names one tensor.
    public init(_ text: String) {
        if let range = text.firstRange(of: "{layer}") {
            prefix = String(text[..<range.lowerBound])
            suffix = String(text[range.upperBound...])
        } else {
            prefix = text
            suffix = nil
        }
    }

    /// Whether every layer has a tensor of this name.
    public var isPerLayer: Bool { suffix != nil }

    /// The name for a layer; the layer is ignored by a template without a place for it.
    public func name(layer: Int?) -> String {
        guard let suffix else { return prefix }
        return prefix + String(layer ?? 0) + suffix
    }

    /// What a name says: no match, a match without a layer, or the layer.
    public enum Match: Equatable, Sendable {
        /// The name is another's.
        case none
        /// The name is this template's, which has no layer.
        case whole
        /// The name is this template's for that layer.
        case layer(Int)
    }

    /// Matches a whole name.
    public func match(_ name: String) -> Match {
        guard let suffix else { return ExactString(name) == ExactString(prefix) ? .whole : .none }
        guard name.utf8.count > prefix.utf8.count + suffix.utf8.count,
            name.utf8.starts(with: prefix.utf8), name.hasSuffix(suffix)
        else { return .none }
        let digits = name.utf8.dropFirst(prefix.utf8.count).dropLast(suffix.utf8.count)
        guard let layer = LayerPattern.number(digits) else { return .none }
        return .layer(layer)
    }
}

/// How layers are found where no architecture file describes the names: `<prefix>.<integer>.<suffix>`.
public struct LayerPattern: Sendable, Hashable {
    /// The text before the number, with the dot.
    public let prefix: String
    /// How many layers there are, numbered from 0 without a gap.
    public let count: Int

    /// Finds the prefix under which most tensors are numbered 0, 1, 2, … without a gap.
    ///
    /// - Returns: `nil` when no names are numbered so.
    public init?(names: [String]) {
        self.init(count: names.count) { names[$0] }
    }

    /// Finds the prefix among `count` names, each of which is asked for once, in order.
    package init?(count: Int, name: (Int) -> String) {
        // A list may have a layer many times, but neighbours mostly share theirs.
        var found: [ExactString: (tensors: Int, layers: [Int])] = [:]
        var last = (prefix: "", bytes: [UInt8](), tensors: 0, layers: [Int]())
        func keep() {
            guard last.tensors > 0 else { return }
            found[ExactString(last.prefix), default: (0, [])].tensors += last.tensors
            found[ExactString(last.prefix), default: (0, [])].layers += last.layers
        }
        for place in 0..<count {
            let name = name(place)
            if last.tensors > 0, let layer = LayerPattern.layer(of: name, behind: last.bytes) {
                last.tensors += 1
                if last.layers.last != layer { last.layers.append(layer) }
            } else if let (prefix, layer) = LayerPattern.split(name) {
                keep()
                last = (prefix, Array(prefix.utf8), 1, [layer])
            }
        }
        keep()
        let dense = found.compactMap { prefix, value -> (prefix: String, tensors: Int, count: Int)? in
            let layers = Set(value.layers)
            return layers.max() == layers.count - 1 ? (prefix.text, value.tensors, layers.count) : nil
        }
        // Ties go to the first in alphabetical order, so that a run repeats.
        let best = dense.max { a, b in
            a.tensors == b.tensors
                ? b.prefix.utf8.lexicographicallyPrecedes(a.prefix.utf8) : a.tensors < b.tensors
        }
        guard let best else { return nil }
        prefix = best.prefix
        self.count = best.count
    }

    /// The number that stands behind a prefix and before a dot; `nil` when none does.
    private static func layer(of name: String, behind prefix: [UInt8]) -> Int? {
        var name = name
        return name.withUTF8 { name in
            let count = prefix.count
            guard name.count > count, (0..<count).allSatisfy({ name[$0] == prefix[$0] }) else { return nil }
            var end = count
            while end < name.count, name[end] != UInt8(ascii: ".") { end += 1 }
            return end < name.count ? number(name[count..<end]) : nil
        }
    }

    /// The layer that a name belongs to; `nil` outside the layers.
    public func layer(of name: String) -> Int? {
        guard name.utf8.starts(with: prefix.utf8) else { return nil }
        let rest = name.utf8.dropFirst(prefix.utf8.count)
        guard let dot = rest.firstIndex(of: UInt8(ascii: ".")) else { return nil }
        return LayerPattern.number(rest[..<dot])
    }

    /// The same name for another layer.
    public func renumber(_ name: String, to layer: Int) -> String {
        let rest = name.utf8.dropFirst(prefix.utf8.count)
        guard let dot = rest.firstIndex(of: UInt8(ascii: ".")) else { return name }
        return prefix + String(layer) + String(Substring(rest[dot...]))
    }

    /// Splits at the first component that is a number: `a.b.3.c` gives `a.b.` and 3.
    package static func split(_ name: String) -> (prefix: String, layer: Int)? {
        var start = name.utf8.startIndex
        while let dot = name.utf8[start...].firstIndex(of: UInt8(ascii: ".")) {
            if start > name.utf8.startIndex, let layer = number(name.utf8[start..<dot]) {
                return (String(name[..<start]), layer)
            }
            start = name.utf8.index(after: dot)
        }
        return nil
    }

    /// A decimal number of ASCII digits without a leading zero.
    static func number(_ digits: some Collection<UInt8>) -> Int? {
        guard !digits.isEmpty, digits.count <= 9, digits.allSatisfy({ 0x30...0x39 ~= $0 }),
            digits.count == 1 || digits.first != 0x30
        else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }
}
