/// A tensor name with a placeholder for the layer number, and maybe one for the expert; it matches whole names, in both
/// directions.
///
/// `model.layers.{layer}.mlp.up_proj.weight` names layer 3's tensor, and reads `3` out of its name.
public struct NameTemplate: Sendable, Hashable {
    /// The text before, between and behind the placeholders.
    private let texts: [String]
    private let places: [Place]
    private let matcher: Matcher

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
        self.places = places
        matcher = Matcher(self.texts)
    }

    /// Whether both name the same tensors.
    public static func == (a: NameTemplate, b: NameTemplate) -> Bool { a.texts == b.texts && a.places == b.places }

    /// Hashes the texts and the placeholders, which the matcher follows from.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(texts)
        hasher.combine(places)
    }

    /// The template as it was parsed.
    public var text: String { filled { $0.rawValue } }

    /// Whether every layer has a tensor of this name.
    public var isPerLayer: Bool { places.contains(.layer) }

    /// Whether every expert, or every head, of a layer has a tensor of this name.
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
        /// The name does not match.
        case none
        /// The name matches, and the template has no placeholder for a layer.
        case whole
        /// The name matches and belongs to this layer.
        case layer(Int)
    }

    /// Matches a whole name.
    public func match(_ name: String) -> Match {
        guard let numbers = matcher.numbers(in: name) else { return .none }
        return places.firstIndex(of: .layer).map { .layer(numbers[$0]) } ?? .whole
    }

    /// The expert's number in a name; `nil` when the name does not match or the template has no placeholder for an
    /// expert.
    public func expert(in name: String) -> Int? {
        guard let place = places.firstIndex(of: .expert) else { return nil }
        return matcher.numbers(in: name)?[place]
    }
}

/// The texts of a template as bytes. All names are matched against all templates; one object holds the texts, because
/// arrays would be retained and released for every name.
private final class Matcher: Sendable {
    private let bytes: [UInt8]
    /// Where each text ends in the bytes.
    private let ends: [Int]

    init(_ texts: [String]) {
        bytes = Array(texts.joined().utf8)
        ends = texts.reduce(into: []) { $0.append(($0.last ?? 0) + $1.utf8.count) }
    }

    /// The numbers in a whole name, in the order of the placeholders; `nil` when the name does not match.
    func numbers(in name: String) -> [Int]? {
        var name = name
        return name.withUTF8 { name in bytes.withUnsafeBufferPointer { numbers(in: name, $0) } }
    }

    private func numbers(in name: UnsafeBufferPointer<UInt8>, _ bytes: UnsafeBufferPointer<UInt8>) -> [Int]? {
        // Most names differ in what is behind the last number.
        let last = ends.count > 1 ? ends[ends.count - 2] : 0
        let ending = name.count - (bytes.count - last)
        guard ending >= 0 else { return nil }
        for index in (last..<bytes.count).reversed() where name[ending + index - last] != bytes[index] { return nil }
        var position = 0, begin = 0, numbers: [Int] = []
        for (index, end) in ends.enumerated() {
            if index > 0 {
                let start = position
                while position < name.count, 0x30...0x39 ~= name[position] { position += 1 }
                guard let number = LayerName.number(name[start..<position]) else { return nil }
                numbers.append(number)
            }
            guard name[position...].starts(with: bytes[begin..<end]) else { return nil }
            position += end - begin
            begin = end
        }
        return position == name.count ? numbers : nil
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
