package import Formats

/// The settings of a model by role, from `config.json` or GGUF metadata: the only code that knows their keys.
package struct Settings: Sendable {
    /// The description that names the keys.
    package let architecture: Architecture
    /// The file that states the settings, for messages.
    package let file: String
    private let form: Checkpoint.Form
    /// The stated values by role; `null` when config.json has null.
    private let stated: [String: (key: String, value: JSON)]
    /// Values that follow from the tensors, for settings that the file does not state.
    private let derived: [String: JSON]

    /// Reads what a checkpoint states.
    package init(_ checkpoint: Checkpoint, _ architecture: Architecture) {
        self.architecture = architecture
        form = checkpoint.form
        file = checkpoint.form == .folder ? checkpoint.path + "/config.json" : checkpoint.path
        var stated: [String: (key: String, value: JSON)] = [:]
        let path = Settings.configPath(of: checkpoint, architecture)
        let config = checkpoint.config?.value(at: path)?.object ?? JSONObject()
        for setting in architecture.settings {
            if checkpoint.form == .gguf {
                for key in setting.gguf where !setting.isIgnoredInGGUF {
                    guard let value = checkpoint.metadata.setting(key.key),
                        key.type.holds(value)
                            || !architecture.settings.contains(where: { $0.takes(value, of: key.key) })
                    else { continue }
                    stated[setting.role] = ("\(architecture.gguf).\(key.key)", value.json)
                    break
                }
                continue
            }
            for path in setting.huggingFace {
                guard let value = config.value(at: path), value.object?.count != 0 else { continue }
                // An older key may be present when a newer one is null.
                if value == .null, stated[setting.role] != nil { continue }
                stated[setting.role] = (path.joined(separator: "."), value)
                if value != .null { break }
            }
        }
        self.stated = stated
        derived = checkpoint.derivedSettings(architecture)
    }

    /// Where in config.json the language model's settings lie: the first object with its layer count.
    package static func configPath(of checkpoint: Checkpoint, _ architecture: Architecture) -> [String] {
        let count = architecture.setting(SettingRole.layers.rawValue)?.huggingFace ?? []
        return architecture.configPaths.first { path in
            guard let object = checkpoint.config?.value(at: path)?.object else { return false }
            return count.contains { object.value(at: $0) != nil }
        } ?? []
    }

    /// The key of a role, as messages name it.
    package func key(_ role: String) -> String {
        if let stated = stated[role] { return stated.key }
        guard let setting = architecture.setting(role) else { return role }
        if form == .gguf { return setting.gguf.first.map { "\(architecture.gguf).\($0.key)" } ?? role }
        return setting.writtenKey?.joined(separator: ".") ?? role
    }

    /// Whether the file has the key, even with null.
    package func isStated(_ role: String) -> Bool { stated[role] != nil }

    /// Whether the value follows from the tensors that the model has.
    package func followsFromTensors(_ role: String) -> Bool { stated[role] == nil && derived[role] != nil }

    /// The value of a role: stated in the file, or its default; `nil` without one.
    ///
    /// - Throws: for a missing required setting, and for a value that resect does not know.
    package func value(_ role: String) throws(CheckpointError) -> JSON? {
        guard let setting = architecture.setting(role) else { return nil }
        if let condition = setting.condition, try bool(condition.role) == condition.isNegated { return nil }
        if let value = stated[role]?.value, value != .null { return try meaning(of: value, setting) }
        if stated[role] != nil, setting.isNullable { return nil }
        return try standard(setting)
    }

    /// The default of a setting, whatever the file states.
    ///
    /// - Throws: when the file has to state it.
    package func standard(_ setting: Setting) throws(CheckpointError) -> JSON? {
        let role = setting.role
        if let value = derived[role] { return value }
        switch absent(setting) {
        case .required: throw missing(role, "")
        case .optional, .tensor, .missing, .rows, .layers: return nil
        case .value(let value): return value
        case .role(let other): return try value(other)
        case .quotient(let a, let b):
            if let divisor = Int(b), divisor > 0 { return .int(try int(a) / divisor) }
            return .int(try int(a) / int(b))
        case .ratio(let a, let b): return .double(Double(try int(a)) / Double(try int(b)))
        case .length(let extent): return .int(try length(extent))
        case .quotientAt(let layers, let a, let b, let otherwise):
            return try int(.layers) == layers ? .int(try int(a) / int(b)) : value(otherwise)
        case .share(let a, let b):
            guard let share = try double(b), share > 0, share <= 1 else {
                throw CheckpointError(file: file, "'\(key(b))' is missing or no share of 1")
            }
            return .int(Int(Double(try int(a)) * share))
        }
    }

    /// The kind of default of a setting.
    func absent(_ setting: Setting) -> Setting.Absent {
        form == .gguf ? setting.ggufAbsent ?? setting.absent : setting.absent
    }

    private func meaning(of value: JSON, _ setting: Setting) throws(CheckpointError) -> JSON {
        guard !setting.values.isEmpty, form != .gguf else { return value }
        if setting.layers != nil, let list = value.array {
            return .array(try list.map { (value) throws(CheckpointError) in try meaning(of: value, setting) })
        }
        let text = value.string ?? value.compact
        guard let found = setting.values.first(where: { $0.from == .string(text) }) else {
            let known = setting.values.compactMap(\.from.string).joined(separator: " ")
            throw CheckpointError(
                file: file, "'\(key(setting.role))' is '\(text)', which is not known for \(architecture.name)",
                hint: "known: \(known)")
        }
        return found.to
    }

    private func missing(_ role: String, _ kind: String) -> CheckpointError {
        CheckpointError(file: file, "'\(key(role))' is missing\(kind)")
    }

    /// A whole number above zero. A list with one value for each layer counts when all are equal.
    ///
    /// - Parameter limit: the maximum; below 2^31 the product of two dimensions still fits.
    package func int(_ role: String, limit: Int = Int(Int32.max)) throws(CheckpointError) -> Int {
        // A role that defaults to another one is named by that one's key.
        if stated[role] == nil, case .role(let other)? = architecture.setting(role).map(absent) {
            return try int(other, limit: limit)
        }
        let value = try value(role)
        var number = value?.int
        if let list = value?.array, let first = list.first {
            guard list.allSatisfy({ $0 == first }) else {
                throw CheckpointError(
                    file: file,
                    "'\(key(role))' differs from layer to layer, which is not known for \(architecture.name)")
            }
            number = first.int
        }
        guard let number, number > 0, number <= limit else {
            throw missing(role, " or no positive whole number below \((limit + 1).grouped)")
        }
        return number
    }

    /// A number; `nil` when there is none.
    package func double(_ role: String) throws(CheckpointError) -> Double? {
        guard let value = try value(role) else { return nil }
        guard let number = value.double else { throw missing(role, " or no number") }
        return number
    }

    /// A Boolean; false without one.
    package func bool(_ role: String) throws(CheckpointError) -> Bool {
        guard let value = try value(role) else { return false }
        guard let flag = value.bool else { throw missing(role, " or neither true nor false") }
        return flag
    }

    /// Whether a model with these settings has to have a tensor; `nil` when the tensors that it has decide.
    package func needs(_ role: TensorRole, layer: Int?) throws(CheckpointError) -> Bool? {
        switch role.need {
        case .always: true
        case .optional: false
        case .setting(let flags): try decide(flags, layer)
        case .unless(let flags):
            // Of several tensors outside the layers with the same condition the first one decides the setting; the
            // others are needed when it exists.
            if !role.isPerLayer, architecture.tensors.first(where: { $0.need == role.need })?.role != role.role {
                try !hold(flags, layer: 0)
            } else {
                try decide(flags, layer).map { !$0 }
            }
        }
    }

    /// Whether a model with these settings computes with a tensor that it has.
    package func uses(_ role: TensorRole, layer: Int?) throws(CheckpointError) -> Bool {
        switch role.need {
        case .always: true
        case .optional: false
        case .setting(let flags): try hold(flags, layer: layer ?? 0)
        case .unless(let flags): try !hold(flags, layer: layer ?? 0)
        }
    }

    /// Whether the file says that a tensor is not computed with, even where it has it.
    package func turnsOff(_ role: TensorRole, layer: Int?) throws(CheckpointError) -> Bool {
        guard case .setting(let flags) = role.need, flags.allSatisfy({ isStated($0.role) }) else { return false }
        return try !hold(flags, layer: layer ?? 0)
    }

    /// Whether all flags hold; `nil` when the tensors decide about one of them.
    private func decide(_ flags: [SettingFlag], _ layer: Int?) throws(CheckpointError) -> Bool? {
        guard !flags.contains(where: { followsFromTensors($0.role) }) else { return nil }
        return try hold(flags, layer: layer ?? 0)
    }

    /// A positive integer, for a role that code reads by name.
    package func int(_ role: SettingRole) throws(CheckpointError) -> Int { try int(role.rawValue) }

    /// A length, multiplied out.
    package func length(_ extent: Extent) throws(CheckpointError) -> Int {
        var factors: [Int] = []
        for factor in extent.factors {
            switch factor {
            case .number(let number): factors.append(number)
            case .setting(let role): factors.append(try int(role))
            }
        }
        guard let product = factors.checkedProduct else {
            throw CheckpointError(file: file, "the lengths \(factors) multiply to more than any tensor has")
        }
        return product
    }
}

extension Setting {
    /// Whether a key of GGUF is this setting's and has a value of its type.
    fileprivate func takes(_ value: GGUFValue, of key: String) -> Bool {
        gguf.contains { $0.key == key && $0.type.holds(value) }
    }
}

extension Setting.ValueType {
    /// Whether a value is of the type; a list of numbers counts as a number for each layer.
    fileprivate func holds(_ value: GGUFValue) -> Bool {
        let values = value.array
        switch self {
        case .u32: return value.int != nil || (values?.allSatisfy { $0.int != nil } ?? false)
        case .f32: return value.json.double != nil
        case .bool: return value.json.bool != nil
        case .string: return value.string != nil
        case .bools: return values?.allSatisfy { $0.json.bool != nil } ?? false
        case .u32s: return values?.allSatisfy { $0.int != nil } ?? false
        }
    }
}

extension JSONObject {
    /// The value at a path of members; the object itself has the empty path.
    package func value(at path: [String]) -> JSON? {
        var value = JSON.object(self)
        for key in path {
            guard let next = value[key] else { return nil }
            value = next
        }
        return value
    }
}

extension GGUFValue {
    /// The value as JSON; a float of 32 bits in its shortest text, `null` where it is not finite.
    package var json: JSON {
        switch self {
        case .bool(let value): .bool(value)
        case .string(let text): .string(text)
        case .array(_, let values): .array(values.map(\.json))
        case .f32(let value): value.isFinite ? .number("\(value)") : .null
        case .f64(let value): .double(value)
        case .u64(let value): .number(String(value))
        default: .int(int ?? 0)
        }
    }
}

extension Checkpoint {
    /// The stored part of a role in this container.
    package func part(of role: TensorRole) -> TensorPart? { form == .gguf ? role.gguf : role.huggingFace }

    /// The first tensor of a role.
    private func first(_ role: TensorRole?) -> Tensor? {
        guard let part = role.flatMap(part) else { return nil }
        return tensors.indices.first { part.match(tensors[$0].name) != .none }.map { tensors[$0] }
    }

    /// Settings that follow from which tensors exist and how many rows they have. In GGUF, a setting without a key that
    /// decides whether a tensor exists follows from that tensor.
    fileprivate func derivedSettings(_ architecture: Architecture) -> [String: JSON] {
        var result: [String: JSON] = [:]
        for setting in architecture.settings {
            let absent = form == .gguf ? setting.ggufAbsent ?? setting.absent : setting.absent
            let tensor = absent.tensorRole.map { first(architecture.tensor(role: $0)) }
            switch absent {
            case .tensor: result[setting.role] = .bool(tensor.flatMap(\.self) != nil)
            case .missing: result[setting.role] = .bool(tensor.flatMap(\.self) == nil)
            case .rows: result[setting.role] = tensor.flatMap(\.self).map { .int($0.rowCount) }
            default: break
            }
        }
        guard form == .gguf else { return result }
        for tensor in architecture.tensors {
            guard case .unless(let flags) = tensor.need, flags.count == 1, let flag = flags.first, !tensor.isPerLayer,
                architecture.setting(flag.role)?.gguf.isEmpty == true, result[flag.role] == nil
            else { continue }
            result[flag.role] = .bool((first(tensor) == nil) != flag.isNegated)
        }
        return result
    }

    /// The settings; `nil` when resect does not know the architecture.
    package var settings: Settings? { architecture.map { Settings(self, $0) } }

    /// The maximum context length in tokens; `nil` when the file does not state it as a number. Only notes depend on it.
    package var longestContext: Int? { try? settings?.int(.context) }
}

extension Architecture {
    /// The description of a GGUF file: that of its architecture, unless it has tensors of another family that shares
    /// it. Mixtral's GGUF files have the architecture llama.
    package static func describing(_ checkpoint: Checkpoint) -> Architecture? {
        let fitting = all.filter { known in
            known.gguf == checkpoint.metadata.architecture
                && known.ggufMark.map { checkpoint.metadata.setting($0) != nil } ?? true
                && !known.foreignTensors.contains { foreign in
                    checkpoint.tensors.indices.contains { foreign.match(checkpoint.tensors[$0].name) != .none }
                }
        }
        return fitting.first { $0.ggufMark != nil } ?? fitting.first
    }
}
