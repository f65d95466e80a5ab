internal import Checkpoints
internal import Formats

/// Applies the rules of `formats/layer-settings.json` to values.
extension LayerCut {
    /// A value after the cut.
    ///
    /// - Throws: when the rule does not fit the value, or the value would change its meaning for a remaining layer.
    func follow(_ rule: LayerSetting, _ key: String, _ value: JSON) throws(CheckpointError) -> JSON {
        let followed = try step(rule, key, value)
        if [.period, .unrelated, .firstStay, .noneMoves, .sources].contains(rule) { return followed }
        // Under every rule each remaining layer must keep its kind.
        guard let before = values(rule, value, count: count), let after = values(rule, followed, count: countAfter),
            after == kept.map({ before[$0] })
        else { throw refused(key, "would change its meaning for the remaining layers") }
        return followed
    }

    private func step(_ rule: LayerSetting, _ key: String, _ value: JSON) throws(CheckpointError) -> JSON {
        switch (rule, value) {
        case (.unrelated, _): return value
        case (.list, .array(let list)):
            if list.isEmpty { return value }
            guard list.count == count || list.count == pattern.count else {
                throw refused(key, "has \(list.count) entries for \(count) layers")
            }
            return .array(without(list))
        case (.list, .string(let text)) where text.count == count || text.count == pattern.count:
            return .string(String(without(Array(text))))
        case (.list, .number), (.list, .bool): return value
        case (.sources, .array(let list)):
            guard list.count == count else { throw refused(key, "has \(list.count) entries for \(count) layers") }
            return .array(
                try kept.map { (layer) throws(CheckpointError) in
                    guard let source = list[layer].int, let after = renumbered(source) else {
                        throw refused(
                            key, "says that layer \(layer) uses the keys of layer \(LayerCut.short(list[layer]))")
                    }
                    return .int(after)
                })
        case (.indices, .array(let list)): return .array(try renumbered(list, key, first: 0))
        case (.indicesFromOne, .array(let list)): return .array(try renumbered(list, key, first: 1))
        case (.names, .object(let object)): return .object(try renumbered(object, key))
        case (.boundary, .number):
            guard let first = value.int else { break }
            return .int(first - cut.count(in: 0..<max(0, first)))
        case (.lastIndex, .number):
            guard let last = value.int, last < Int.max else { break }
            if last < 0 { return value }
            let after = last - cut.count(in: 0..<last + 1)
            guard after >= 0 else { throw refused(key, "is \(last), and no layer up to that one remains") }
            return .int(after)
        case (.count, .number):
            guard let last = value.int else { break }
            let known = min(max(0, last), count)
            return .int(last - cut.count(in: count - known..<count))
        case (.cycle, .array(let list)):
            guard !list.isEmpty else { break }
            let after = without((0..<count).map { list[$0 % list.count] })
            return after == (0..<countAfter).map({ list[$0 % list.count] }) ? value : .array(after)
        case (.repeats, .array):
            guard let before = LayerCut.expanded(value), before.count == count else { break }
            return .array([.array([.array(without(before)), .int(1)])])
        case (.period, .array(let list)) where list.count == count || list.count == pattern.count:
            return .array(without(list))
        case (.period, .number):
            guard let period = value.int else { break }
            if period > 1 { try keepPhase(period, key) }
            return value
        case (.period, .bool), (.period, .null): return value
        case (.firstStay, .array(let list)):
            try keepFirst(list.count, key)
            return value
        case (.firstStay, .number):
            guard let first = value.int else { break }
            try keepFirst(first, key)
            return value
        case (.noneMoves, .number):
            guard value.int == 0 || keptRuns == [0..<countAfter] else {
                throw refused(key, "is \(value.compact), and later layers would move")
            }
            return value
        default: break
        }
        throw refused(key, "is \(LayerCut.short(value)), which does not match \(count) layers")
    }

    /// Checks a period against the layers that move.
    func keepPhase(_ period: Int, _ key: String) throws(CheckpointError) {
        guard keepsPhase(period) else {
            throw refused(
                key, "is \(period) (every \(period.ordinal) layer)",
                hint: "cut a multiple of \(period) layers, or the last ones")
        }
    }

    /// Whether every remaining layer keeps its position in the period.
    func keepsPhase(_ period: Int) -> Bool { keptRuns.allSatisfy { cut.count(in: 0..<$0.lowerBound) % period == 0 } }

    private func keepFirst(_ first: Int, _ key: String) throws(CheckpointError) {
        guard cut.count(in: 0..<min(max(0, first), count)) == 0 else {
            throw refused(key, "applies to the first \(first) layers")
        }
    }

    // MARK: layer numbers

    private func renumbered(_ list: [JSON], _ key: String, first: Int) throws(CheckpointError) -> [JSON] {
        var result: [JSON] = []
        for entry in list {
            guard let layer = entry.int else {
                throw refused(key, "has the entry \(LayerCut.short(entry)), which is not a layer number")
            }
            if layer < first {
                result.append(entry)
            } else if let after = renumbered(layer - first) {
                result.append(.int(after + first))
            }
        }
        return result
    }

    private func renumbered(_ object: JSONObject, _ key: String) throws(CheckpointError) -> JSONObject {
        var result = JSONObject()
        for (name, value) in object.members {
            guard let layer = Int(name) else {
                throw refused(key, "has the member '\(name)', which is not a layer number")
            }
            guard let after = renumbered(layer) else { continue }
            let digits = String(after)
            result[String(repeating: "0", count: max(0, name.count - digits.count)) + digits] = value
        }
        return result
    }

    // MARK: one value per layer

    /// The value of a setting for each layer; `nil` when the value does not fit the rule.
    func values(_ rule: LayerSetting, _ value: JSON, count: Int) -> [JSON]? {
        let layers = 0..<count
        func numbers(_ list: [JSON]) -> Set<Int> { Set(list.compactMap(\.int)) }
        switch (rule, value) {
        case (.sources, .array(let list)): return list.enumerated().map { .bool($1 == .int($0)) }
        case (.list, .array(let list)), (.period, .array(let list)):
            return list.count >= count ? Array(list.prefix(count)) : list.isEmpty ? layers.map { _ in .null } : nil
        case (.list, .string(let text)):
            let letters = Array(text)
            return letters.count >= count ? layers.map { .string(String(letters[$0])) } : nil
        case (.list, _): return layers.map { _ in value }
        case (.indices, .array(let list)):
            let found = numbers(list)
            return layers.map { .bool(found.contains($0)) }
        case (.indicesFromOne, .array(let list)):
            let found = numbers(list)
            return layers.map { .bool(found.contains($0 + 1)) }
        case (.names, .object(let object)):
            let found = Dictionary(object.members.map { (Int($0) ?? -1, $1) }) { first, _ in first }
            return layers.map { found[$0] ?? .null }
        case (.boundary, .number): return value.int.map { first in layers.map { .bool($0 < first) } }
        case (.lastIndex, .number): return value.int.map { last in layers.map { .bool(last < 0 || $0 <= last) } }
        case (.count, .number):
            return value.int.map { last in
                let first = count - min(max(0, last), count)
                return layers.map { .bool($0 >= first) }
            }
        case (.cycle, .array(let list)): return list.isEmpty ? nil : layers.map { list[$0 % list.count] }
        case (.repeats, _): return LayerCut.expanded(value)
        case (.period, .number): return value.int.map { period in layers.map { .int(period > 1 ? $0 % period : 0) } }
        default: return nil
        }
    }

    /// `[[["a", "b"], 2]]` gives `a, b, a, b`.
    private static func expanded(_ value: JSON) -> [JSON]? {
        var result: [JSON] = []
        for run in value.array ?? [] {
            guard let run = run.array, run.count == 2, let kinds = run[0].array, let times = run[1].int,
                (0...10000).contains(times), kinds.count <= 100, result.count <= 10000
            else { return nil }
            for _ in 0..<times { result += kinds }
        }
        return result
    }

    /// A value, shortened for a message.
    static func short(_ value: JSON) -> String {
        let text = value.compact
        return text.count > 40 ? text.prefix(40) + "…" : text
    }
}
