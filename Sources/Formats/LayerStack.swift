/// Tensors whose names are numbered under one prefix: the layers of a model, of its vision tower, of its encoder.
///
/// Only the first number of a name counts, so experts inside layers are not a stack.
public struct LayerStack: Sendable, Hashable {
    /// The text before the number, with the dot.
    public let prefix: String
    /// The numbers with tensors, sorted.
    public let layers: [Int]

    /// How many layers there would be without a hole in the numbering.
    public var count: Int { (layers.last ?? -1) + 1 }

    /// The first number without a tensor; `nil` when the layers are numbered 0, 1, 2, … without a hole.
    public var missing: Int? { zip(layers, 0...).first { $0 != $1 }?.1 }

    /// The components of the prefix: `model`, `layers`.
    public var components: [Substring] { prefix.split(separator: ".") }

    /// All stacks in a list of names, sorted by prefix.
    public static func all(in names: [String]) -> [LayerStack] { all(count: names.count) { names[$0] } }

    /// All stacks among `count` names; each name is requested once, in order.
    package static func all(count: Int, name: (Int) -> String) -> [LayerStack] {
        // A list may have a layer many times, but neighbours mostly share theirs.
        var found: [ExactString: [Int]] = [:]
        var last = (prefix: "", bytes: [UInt8](), layers: [Int]())
        func keep() {
            if !last.layers.isEmpty { found[ExactString(last.prefix), default: []] += last.layers }
        }
        for index in 0..<count {
            let name = name(index)
            if !last.layers.isEmpty, let layer = layer(of: name, behind: last.bytes) {
                if last.layers.last != layer { last.layers.append(layer) }
            } else if let parts = LayerName(name) {
                keep()
                last = (String(parts.prefix), Array(parts.prefix.utf8), [parts.layer])
            }
        }
        keep()
        return found.map { LayerStack(prefix: $0.key.text, layers: Set($0.value).sorted()) }
            .sorted { $0.prefix.utf8.lexicographicallyPrecedes($1.prefix.utf8) }
    }

    /// The layer that `LayerName` finds after a prefix, computed on bytes, because opening a file does it for every name.
    private static func layer(of name: String, behind prefix: [UInt8]) -> Int? {
        var name = name
        return name.withUTF8 { name in
            let count = prefix.count
            guard name.count > count, (0..<count).allSatisfy({ name[$0] == prefix[$0] }) else { return nil }
            var end = count
            while end < name.count, name[end] != LayerName.dot { end += 1 }
            return end < name.count ? LayerName.number(name[count..<end]) : nil
        }
    }
}
