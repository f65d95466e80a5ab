/// A tensor name with a placeholder for the layer number; it matches whole names, in both directions.
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

    /// The template as it was parsed.
    public var text: String { suffix.map { prefix + "{layer}" + $0 } ?? prefix }

    /// Whether every layer has a tensor of this name.
    public var isPerLayer: Bool { suffix != nil }

    /// The name for a layer; a template without a placeholder ignores the layer.
    public func name(layer: Int?) -> String {
        guard let suffix else { return prefix }
        return prefix + String(layer ?? 0) + suffix
    }

    /// The result for a name: no match, a match without a layer, or the layer.
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
        guard let layer = LayerName.number(digits) else { return .none }
        return .layer(layer)
    }
}
