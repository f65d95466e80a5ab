/// The names of the layers of one stack: `<prefix><layer>.<suffix>`, numbered from 0.
///
/// The layers of the decoder come first. Modules that predict further tokens (multi-token prediction) may be numbered behind
/// them, under the same prefix.
public struct LayerPattern: Sendable, Hashable {
    /// The text before the number, with the dot.
    public let prefix: String
    /// How many layers have tensors, modules for multi-token prediction included.
    public let count: Int
    /// How many of them, the last ones, are modules for multi-token prediction.
    public let predictorCount: Int

    /// The layers under a prefix.
    ///
    /// - Precondition: at least one layer belongs to the decoder.
    public init(prefix: String, count: Int, predictorCount: Int = 0) {
        precondition(predictorCount >= 0 && predictorCount < max(1, count))
        self.prefix = prefix
        self.count = count
        self.predictorCount = predictorCount
    }

    /// How many layers the model computes one after another; modules for multi-token prediction are none of them.
    public var decoderCount: Int { count - predictorCount }

    /// The name of the list of modules: `layers` of `model.layers.`.
    package var listName: Substring { prefix.dropLast().split(separator: ".").last ?? "" }

    /// The layer that a name belongs to; `nil` outside the layers.
    public func layer(of name: String) -> Int? {
        guard name.utf8.starts(with: prefix.utf8) else { return nil }
        let rest = name.utf8.dropFirst(prefix.utf8.count)
        guard let dot = rest.firstIndex(of: UInt8(ascii: ".")) else { return nil }
        return LayerPattern.number(rest[..<dot])
    }

    /// What stands behind the layer in a name: `mlp.up_proj.weight`; `nil` outside the layers.
    package func suffix(of name: String) -> Substring? {
        guard layer(of: name) != nil else { return nil }
        let rest = name.utf8.dropFirst(prefix.utf8.count)
        guard let dot = rest.firstIndex(of: UInt8(ascii: ".")) else { return nil }
        return Substring(rest[rest.index(after: dot)...])
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
