internal import Formats

/// Short lists of tensor names: equal names in neighbouring layers are combined.
enum LayerNames {
    /// The parts of a name with a layer number; a name without one is all suffix.
    private struct Parts {
        let prefix: String
        let layer: Int?
        let suffix: String

        init(_ name: String) {
            if let parts = LayerName(name) {
                (prefix, layer, suffix) = (String(parts.prefix), parts.layer, String(parts.suffix))
            } else {
                (prefix, layer, suffix) = ("", nil, name)
            }
        }
    }

    /// When the same layers have more kinds of tensors than this, they are combined to `*`.
    private static let mostSuffixes = 3

    /// `["b.0.x", "b.1.x", "c"]` gives `b.0..1.x (2 tensors)` and `c`.
    static func lines(_ names: [String]) -> [String] { moves(names.map { ($0, $0) }, arrow: false) }

    /// `[("b.3.x", "b.1.x"), ("b.4.x", "b.2.x")]` gives `b.3..4.x → b.1..2.x (2 tensors)`.
    static func lines(_ moves: [(from: String, to: String)]) -> [String] {
        LayerNames.moves(moves.map { ($0.from, $0.to) }, arrow: true)
    }

    /// Names that change alike and move by the same number of layers.
    private struct Way: Hashable {
        let from: String
        let to: String
        let step: Int
    }

    private static func moves(_ moves: [(String, String)], arrow: Bool) -> [String] {
        var lines: [String] = []
        var ways: [(way: Way, layers: [Int: [String]])] = []
        var indices: [Way: Int] = [:]
        for (from, to) in moves {
            let source = Parts(from), target = Parts(to)
            guard let layer = source.layer, let other = target.layer, source.suffix == target.suffix else {
                lines.append(arrow ? "\(from) → \(to)" : from)
                continue
            }
            let way = Way(from: source.prefix, to: target.prefix, step: other - layer)
            let index = indices[way] ?? ways.count
            if index == ways.count {
                ways.append((way, [:]))
                indices[way] = index
            }
            ways[index].layers[layer, default: []].append(source.suffix)
        }
        for (way, layers) in ways { lines += LayerNames.lines(way, layers, arrow: arrow) }
        return lines
    }

    /// One line per run of layers and suffix, or one for all when there are many suffixes.
    private static func lines(_ way: Way, _ layers: [Int: [String]], arrow: Bool) -> [String] {
        var lines: [String] = []
        var sorted = layers.keys.sorted()[...]
        while let first = sorted.first {
            let suffixes = layers[first, default: []].sorted()
            var last = first
            sorted = sorted.dropFirst()
            while let next = sorted.first, next == last + 1, layers[next, default: []].sorted() == suffixes {
                last = next
                sorted = sorted.dropFirst()
            }
            let short = suffixes.count > mostSuffixes
            for suffix in short ? [".*"] : suffixes {
                let count = (last - first + 1) * (short ? suffixes.count : 1)
                func text(_ prefix: String, _ step: Int) -> String {
                    let end = last > first ? "..\(last + step)" : ""
                    return "\(prefix)\(first + step)\(end)\(suffix)"
                }
                let target = arrow ? " → \(text(way.to, way.step))" : ""
                lines.append(text(way.from, 0) + target + (count > 1 ? " (\(count) tensors)" : ""))
            }
        }
        return lines
    }
}
