internal import Checkpoints
internal import Formats

/// Lists that transformers derives from the layer number where `config.json` has none.
extension ConfigCut {
    /// Writes the lists that transformers would derive differently from the new layer numbers.
    mutating func derivedLists(
        _ config: JSONObject, before: JSONObject, type: String
    ) throws(CheckpointError) -> JSONObject {
        let known = LayerSettings.known
        var result = config
        for rule in known.derived where rule.types.contains(type) {
            if rule.form == .others {
                result = try denseLayers(result, before: before, rule)
                continue
            }
            if let list = before[rule.list], list != .null, list != .array([]) { continue }
            guard let old = list(rule, before, count: layers.count),
                let new = list(rule, result, count: layers.countAfter)
            else {
                throw layers.refused(rule.key ?? rule.list, "does not state the kind of each layer")
            }
            kinds.append(old)
            let kept = layers.kept.map { old[$0] }
            if kept == new { continue }
            if rule.form == .indices {
                result[rule.list] = .array(kept.indices.filter { kept[$0] == .bool(true) }.map(JSON.int))
            } else {
                result[rule.list] = .array(kept)
            }
        }
        try require(known.derivedOtherwise, in: before, type)
        for (setting, lists) in known.derivedOtherwiseIf where before[setting] == .bool(true) {
            try require(lists, in: before, type)
        }
        return result
    }

    /// Refuses a model without a list that its class derives in a way that is not known here.
    private func require(
        _ lists: [String: [String]], in config: JSONObject, _ type: String
    ) throws(CheckpointError) {
        for (list, types) in lists where types.contains(type) {
            guard config[list] == nil || config[list] == .null || config[list] == .array([]) else { continue }
            throw layers.refused(list, "is missing, and \(type) derives it from the number of layers")
        }
    }

    /// A derived list with one value per layer.
    private func list(_ rule: DerivedList, _ config: JSONObject, count: Int) -> [JSON]? {
        guard let number = number(rule, config) else { return nil }
        return (0..<count).map { layer in
            let holds = rule.holds(layer, number: number)
            if case .kinds(let a, let b) = rule.form { return holds ? a : b }
            return .bool(holds)
        }
    }

    private func number(_ rule: DerivedList, _ config: JSONObject) -> Int? {
        guard let key = rule.key, let value = config[key], value != .null else { return rule.standard }
        return value.int
    }

    func derived(_ list: String, _ config: JSONObject, type: String, count: Int) -> [JSON]? {
        LayerSettings.known.derived.first { $0.list == list && $0.types.contains(type) }
            .flatMap { self.list($0, config, count: count) }
    }

    /// Replaces a period of layers with experts by a list of the others when the cut breaks the period.
    private mutating func denseLayers(
        _ config: JSONObject, before: JSONObject, _ rule: DerivedList
    ) throws(CheckpointError) -> JSONObject {
        guard let key = rule.key, let step = number(rule, before), step > 1 else { return config }
        func dense(_ config: JSONObject, count: Int) -> [Bool] {
            let listed = Set((config[rule.list]?.array ?? []).compactMap(\.int))
            return (0..<count).map { listed.contains($0) || !rule.holds($0, number: step) }
        }
        let old = dense(before, count: layers.count)
        kinds.append(old.map(JSON.bool))
        let kept = layers.kept.map { old[$0] }
        if dense(config, count: layers.countAfter) == kept { return config }
        var result = config
        result[key] = .int(1)
        result[rule.list] = .array(kept.indices.filter { kept[$0] }.map(JSON.int))
        return result
    }
}
