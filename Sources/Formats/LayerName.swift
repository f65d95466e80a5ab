/// The parts of a name in a numbered layer: `model.layers.3.mlp.weight` is `model.layers.`, 3 and `.mlp.weight`.
package struct LayerName: Sendable {
    /// The text before the number, with the dot.
    package let prefix: Substring
    /// The number of the layer.
    package let layer: Int
    /// The text behind the number, with the dot.
    package let suffix: Substring

    /// Splits a name at its first numeric component, if there are components before and after it.
    package init?(_ name: String) {
        let bytes = name.utf8
        guard var start = bytes.firstIndex(of: LayerName.dot) else { return nil }
        repeat {
            start = bytes.index(after: start)
            let end = bytes[start...].firstIndex(of: LayerName.dot)
            guard let end else { return nil }
            if let layer = LayerName.number(bytes[start..<end]) {
                (prefix, self.layer, suffix) = (name[..<start], layer, name[end...])
                return
            }
            start = end
        } while true
    }

    /// Splits a name after a prefix; `nil` when it has another prefix, or no number and dot follow.
    package init?(_ name: String, prefix: String) {
        let bytes = name.utf8
        guard bytes.starts(with: prefix.utf8) else { return nil }
        let start = bytes.index(bytes.startIndex, offsetBy: prefix.utf8.count)
        guard let end = bytes[start...].firstIndex(of: LayerName.dot), let layer = LayerName.number(bytes[start..<end])
        else { return nil }
        (self.prefix, self.layer, suffix) = (name[..<start], layer, name[end...])
    }

    static let dot = UInt8(ascii: ".")

    /// A layer's number: decimal ASCII digits without a leading zero.
    static func number(_ digits: some Collection<UInt8>) -> Int? {
        guard !digits.isEmpty, digits.count <= 9, digits.allSatisfy({ 0x30...0x39 ~= $0 }),
            digits.count == 1 || digits.first != 0x30
        else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    /// The same name for another layer.
    package func renumbered(_ layer: Int) -> String { "\(prefix)\(layer)\(suffix)" }
}
