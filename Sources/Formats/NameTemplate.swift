/// A tensor name with a placeholder for the layer number, and maybe one for the expert; it matches whole names, in both
/// directions.
///
/// `model.layers.{layer}.mlp.up_proj.weight` names layer 3's tensor, and reads `3` out of its name.
public struct NameTemplate: Sendable, Hashable {
    /// The text before, between and behind the placeholders.
    private let texts: [String]
    /// The same as bytes: names of all tensors are matched against all templates.
    private let bytes: [[UInt8]]
    private let places: [Place]

    fileprivate enum Place: String, CaseIterable {
        case layer = "{layer}"
        case expert = "{expert}"
    }

    /// Parses a template; without `{layer}` it names one tensor.
    public init(_ text: String) {
        var texts: [String] = [], places: [Place] = [], rest = text[...]
        for place in Place.allCases {
            guard let range = rest.range(of: place) else { continue }
            texts.append(String(rest[..<range.lowerBound]))
            places.append(place)
            rest = rest[range.upperBound...]
        }
        self.texts = texts + [String(rest)]
        bytes = self.texts.map { Array($0.utf8) }
        self.places = places
    }

    /// The template as it was parsed.
    public var text: String { filled { $0.rawValue } }

    /// Whether every layer has a tensor of this name.
    public var isPerLayer: Bool { places.contains(.layer) }

    /// Whether every expert of a layer has a tensor of this name.
    public var isPerExpert: Bool { places.contains(.expert) }

    /// The name for a layer and an expert; a template without a placeholder ignores the number.
    public func name(layer: Int?, expert: Int = 0) -> String {
        filled { String($0 == .layer ? layer ?? 0 : expert) }
    }

    private func filled(_ value: (Place) -> String) -> String {
        zip(places, texts.dropFirst()).reduce(texts[0]) { $0 + value($1.0) + $1.1 }
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
        guard let numbers = numbers(in: name) else { return .none }
        return places.firstIndex(of: .layer).map { .layer(numbers[$0]) } ?? .whole
    }

    /// The expert's number in a name; `nil` when the name is another's or the template has no expert.
    public func expert(in name: String) -> Int? {
        guard let place = places.firstIndex(of: .expert) else { return nil }
        return numbers(in: name)?[place]
    }

    /// The numbers in a whole name, in the order of the placeholders.
    private func numbers(in name: String) -> [Int]? {
        var name = name
        return name.withUTF8 { name in
            guard name.starts(with: bytes[0]) else { return nil }
            var position = bytes[0].count, numbers: [Int] = []
            for text in bytes.dropFirst() {
                let start = position
                while position < name.count, 0x30...0x39 ~= name[position] { position += 1 }
                guard let number = LayerName.number(name[start..<position]), name[position...].starts(with: text) else {
                    return nil
                }
                position += text.count
                numbers.append(number)
            }
            return position == name.count ? numbers : nil
        }
    }
}

extension Substring {
    /// Where a placeholder stands, searched as bytes: all descriptions are read whenever a program starts.
    fileprivate func range(of place: NameTemplate.Place) -> Range<Index>? {
        var rest = utf8[...]
        while let brace = rest.firstIndex(of: UInt8(ascii: "{")) {
            if rest[brace...].starts(with: place.rawValue.utf8) {
                return brace..<utf8.index(brace, offsetBy: place.rawValue.utf8.count)
            }
            rest = rest[brace...].dropFirst()
        }
        return nil
    }
}
