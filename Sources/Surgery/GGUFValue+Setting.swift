internal import Checkpoints
internal import Formats

extension GGUFValue {
    /// The value of a setting in a type of GGUF; `nil` when it has none.
    ///
    /// - Throws: for a value that the type cannot hold.
    init?(
        of setting: Setting, _ type: Setting.ValueType, _ settings: Settings, layers: Int
    ) throws(CheckpointError) {
        let role = setting.role
        switch type {
        case .bools:
            let flag = SettingFlag(role)
            guard try settings.value(role, layer: 0) != nil else { return nil }
            self = .array(
                elementType: GGUFValue.bool(true).type,
                try (0..<layers).map { (layer) throws(CheckpointError) in .bool(try settings.holds(flag, layer: layer))
                })
        case .u32s:
            guard try settings.value(role, layer: 0) != nil else { return nil }
            self = .array(
                elementType: GGUFValue.u32(0).type,
                try (0..<layers).map { (layer) throws(CheckpointError) in
                    guard let number = try settings.value(role, layer: layer)?.int, let value = UInt32(exactly: number)
                    else {
                        throw CheckpointError(
                            file: settings.file, "'\(settings.key(role))' of layer \(layer) is not a 32-bit number")
                    }
                    return .u32(value)
                })
        case .u32:
            guard let value = try settings.value(role) else { return nil }
            // 0 is no length, but a number that some settings have.
            self = value == .int(0) ? .u32(0) : .u32(UInt32(try settings.int(role, limit: Int(UInt32.max))))
        case .f32:
            guard let number = try settings.double(role) else { return nil }
            guard Float(number).isFinite else {
                throw CheckpointError(
                    file: settings.file,
                    "'\(settings.key(role))' is \(number), which exceeds the 32 bits of a GGUF file")
            }
            self = .f32(Float(number))
        case .bool:
            guard try settings.value(role) != nil else { return nil }
            self = .bool(try settings.bool(role))
        case .string:
            guard let value = try settings.value(role) else { return nil }
            guard let text = value.string else {
                throw CheckpointError(file: settings.file, "'\(settings.key(role))' is not text")
            }
            self = .string(text)
        }
    }
}
