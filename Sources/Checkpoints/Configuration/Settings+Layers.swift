package import Formats

extension Settings {
    /// The value of a role in a layer: an entry of a list, or what a number or list of layers says about it.
    ///
    /// - Throws: when a list has no entry for the layer.
    package func value(_ role: String, layer: Int) throws(CheckpointError) -> JSON? {
        guard let setting = architecture.setting(role) else { return nil }
        guard let value = try value(role) else {
            if let condition = setting.condition, try bool(condition.role) == condition.isNegated { return nil }
            guard !isStated(role) || !setting.isNullable, case .layers(let standard) = absent(setting) else {
                return nil
            }
            return standard.value(layer: layer, number: try count(standard.role))
        }
        switch setting.layers {
        case .list:
            guard let list = value.array else { return value }
            guard list.indices.contains(layer) else {
                throw CheckpointError(
                    file: file, "'\(key(role))' has \(list.count) entries and none for layer \(layer)")
            }
            return list[layer]
        case .indices: return .bool(value.array?.contains(.int(layer)) ?? false)
        case .boundary: return .bool(layer < (value.int ?? 0))
        case .period:
            let period = value.int ?? 0
            return .bool(LayerPeriod(count: period, at: period - 1).holds(layer))
        default: return value
        }
    }

    /// Whether a flag holds in a layer; false without a value.
    package func holds(_ flag: SettingFlag, layer: Int) throws(CheckpointError) -> Bool {
        let value = try value(flag.role, layer: layer)
        guard let holds = value == nil ? false : value?.bool ?? value?.int.map({ $0 != 0 }) else {
            throw CheckpointError(
                file: file, "'\(key(flag.role))' of layer \(layer) is neither true nor false")
        }
        return holds != flag.isNegated
    }

    /// Whether all flags hold in a layer.
    package func hold(_ flags: [SettingFlag], layer: Int) throws(CheckpointError) -> Bool {
        for flag in flags where try !holds(flag, layer: layer) { return false }
        return true
    }

    /// A whole number that may be 0.
    private func count(_ role: String) throws(CheckpointError) -> Int {
        guard let value = try value(role)?.int, value >= 0 else {
            throw CheckpointError(file: file, "'\(key(role))' is missing or no whole number")
        }
        return value
    }
}
