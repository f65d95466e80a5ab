/// A setting of a family: its keys in `config.json` and GGUF, and its default.
package struct Setting: Sendable, Equatable {
    /// What the setting is: `hidden`, `heads`, …
    package let role: String
    /// Its keys in `config.json`, below the language model's object; the first that is there counts.
    package let huggingFace: [[String]]
    /// Its GGUF keys without the architecture's prefix; the first that is there counts, the first is written.
    package let gguf: [GGUFKey]
    /// Whether llama.cpp ignores the GGUF key, which its converter writes: it is not read.
    package let isIgnoredInGGUF: Bool
    /// How a value for each layer follows a cut; `nil` for settings of the whole model.
    package let layers: LayerSetting?
    /// The meanings of the values in `config.json`; empty when the values need no translation.
    package let values: [(from: JSON, to: JSON)]
    /// The default.
    package let absent: Absent
    /// The default in GGUF, when runtimes assume another value than the model's class; `nil` when it is the same.
    package let ggufAbsent: Absent?
    /// Whether `null` in `config.json` means "no value" instead of "not stated".
    package let isNullable: Bool
    /// The setting that must be true for this one to have a value, whatever the file states; `nil` when it always has
    /// one.
    package let condition: SettingFlag?

    /// A GGUF key with the type of its value.
    package struct GGUFKey: Sendable, Equatable {
        /// The key without the architecture's prefix.
        package let key: String
        /// The type of the value.
        package let type: ValueType
        /// Whether it is written only for a value other than the default, because llama.cpp's converter leaves the
        /// default out.
        package let isImplied: Bool
    }

    /// The types of GGUF values that settings have.
    package enum ValueType: String, CaseIterable, Sendable {
        /// An unsigned integer of 32 bits.
        case u32
        /// A float of 32 bits.
        case f32
        /// A Boolean.
        case bool
        /// Text.
        case string
        /// A Boolean for each layer.
        case bools = "bool[]"
        /// An unsigned integer of 32 bits for each layer.
        case u32s = "u32[]"
    }

    /// The default of a setting.
    package enum Absent: Sendable, Equatable {
        /// The file is refused.
        case required
        /// No value.
        case optional
        /// This value, as in the model's class.
        case value(JSON)
        /// The value of another role.
        case role(String)
        /// The whole part of one role divided by another, or by a number.
        case quotient(String, String)
        /// The whole part of one role times another, which is a share of it.
        case share(String, String)
        /// One role divided by another, as a share of it.
        case ratio(String, String)
        /// A length.
        case length(Extent)
        /// The whole part of one role divided by another in models of that many layers, else the value of a third role.
        case quotientAt(layers: Int, String, String, otherwise: String)
        /// Whether the model has the tensor of a role.
        case tensor(String)
        /// Whether the model lacks the tensor of a role.
        case missing(String)
        /// The number of rows of the tensor of a role.
        case rows(String)
        /// One value a layer.
        case layers(LayerDefault)

        /// The required tensor role.
        package var tensorRole: String? {
            switch self {
            case .tensor(let role), .missing(let role), .rows(let role): role
            case .required, .optional, .value, .role, .quotient, .quotientAt, .share, .ratio, .length, .layers: nil
            }
        }

        /// Whether there is a value without any key.
        var isComputed: Bool {
            switch self {
            case .required, .optional, .layers: false
            case .value, .role, .quotient, .quotientAt, .share, .ratio, .length, .tensor, .missing, .rows: true
            }
        }

        /// The required setting roles.
        package var roles: [String] {
            switch self {
            case .required, .optional, .value, .tensor, .missing, .rows: []
            case .role(let role): [role]
            case .quotient(let a, let b), .share(let a, let b): [a, b].filter { Int($0) == nil }
            case .ratio(let a, let b): [a, b]
            case .quotientAt(_, let a, let b, let otherwise): [a, b, otherwise]
            case .length(let extent): extent.roles
            case .layers(let values): [values.role]
            }
        }
    }

    /// The default of a list with one value a layer.
    package struct LayerDefault: Sendable, Equatable {
        /// The setting of the number that decides.
        package let role: String
        /// The layers that have `value`.
        package let chosen: Chosen
        /// The value of the chosen layers.
        package let value: JSON
        /// The value of the others.
        package let other: JSON

        /// Which layers are chosen.
        package enum Chosen: Sendable, Equatable {
            /// The first n.
            case first
            /// The first of every n.
            case firstOfEvery
            /// The last of every n.
            case lastOfEvery
        }

        /// The value of a layer, for the number that the setting has.
        package func value(layer: Int, number: Int) -> JSON {
            let holds =
                switch chosen {
                case .first: layer < number
                case .firstOfEvery: LayerPeriod(count: number, at: 0).holds(layer)
                case .lastOfEvery: LayerPeriod(count: number, at: number - 1).holds(layer)
                }
            return holds ? value : other
        }

        init(_ reader: inout MemberReader) throws(DataFileError) {
            let (first, every) = (try reader.optionalString("first"), try reader.optionalString("every"))
            value = try reader.required("value")
            other = try reader.required("else")
            let isFirst = reader.optional("at") != nil ? try reader.choice("at", Position.self) == .first : false
            switch (first, every) {
            case (let role?, nil): (self.role, chosen) = (role, .first)
            case (nil, let role?): (self.role, chosen) = (role, isFirst ? .firstOfEvery : .lastOfEvery)
            default: throw reader.wrong("every", "and 'first' exclude each other, and one is needed")
            }
        }

        private enum Position: String, CaseIterable { case first, last }
    }

    /// Reads the setting of a role.
    init(_ role: String, _ value: JSON) throws(DataFileError) {
        var reader = try MemberReader(value, "settings.\(role)")
        self.role = role
        huggingFace = try reader.strings("hf").map { $0.split(separator: ".").map(String.init) }
        gguf = try reader.strings("gguf").map { (text) throws(DataFileError) in
            let isImplied = text.hasSuffix("?")
            let parts = text.dropLast(isImplied ? 1 : 0).split(separator: ":").map(String.init)
            guard parts.count == 2, let type = ValueType(rawValue: parts[1]) else {
                throw reader.wrong("gguf", "is '\(text)'; a key is written 'attention.head_count:u32'")
            }
            return GGUFKey(key: parts[0], type: type, isImplied: isImplied)
        }
        isIgnoredInGGUF = try reader.flag("gguf_ignored")
        layers = reader.optional("layers") == nil ? nil : try reader.choice("layers", LayerSetting.self)
        values = try reader.members("values").map { (.string($0), $1) }
        isNullable = try reader.flag("optional")
        condition = try reader.setting("if")
        absent = try Absent(&reader, "default") ?? (isNullable ? .optional : .required)
        ggufAbsent = try Absent(&reader, "gguf_default")
        guard !huggingFace.isEmpty || !gguf.isEmpty || absent.isComputed else {
            throw reader.wrong("hf", "and 'gguf' are both missing")
        }
        try reader.finish()
    }

    /// Whether both are equal.
    package static func == (a: Setting, b: Setting) -> Bool {
        a.role == b.role && a.huggingFace == b.huggingFace && a.gguf == b.gguf
            && a.isIgnoredInGGUF == b.isIgnoredInGGUF && a.layers == b.layers && a.absent == b.absent
            && a.ggufAbsent == b.ggufAbsent && a.isNullable == b.isNullable && a.condition == b.condition
            && a.values.elementsEqual(b.values) { $0 == $1 }
    }

    /// The settings that decide about the value: those of its default and of its condition.
    package var roles: [String] { absent.roles + (ggufAbsent?.roles ?? []) + (condition.map { [$0.role] } ?? []) }

    /// The key that is written to `config.json`: the first outside `rope_parameters`, which only transformers 5 reads.
    package var writtenKey: [String]? {
        huggingFace.first { $0.first != "rope_parameters" } ?? huggingFace.first
    }

    /// The key that transformers 5 writes.
    package var newestKey: [String]? {
        huggingFace.first { $0.first == "rope_parameters" } ?? huggingFace.first
    }
}

extension Setting.Absent {
    fileprivate init?(_ reader: inout MemberReader, _ member: String) throws(DataFileError) {
        guard let value = reader.optional(member) else { return nil }
        guard value.object != nil else {
            self = .value(value)
            return
        }
        var inner = try MemberReader(value, reader.path(member))
        func pair(_ member: String) throws(DataFileError) -> (String, String) {
            let roles = try inner.strings(member)
            guard roles.count == 2 else { throw inner.wrong(member, "has \(roles.count) roles instead of two") }
            return (roles[0], roles[1])
        }
        if let role = try inner.optionalString("role") {
            self = .role(role)
        } else if let role = try inner.optionalString("tensor") {
            self = .tensor(role)
        } else if let role = try inner.optionalString("missing") {
            self = .missing(role)
        } else if let role = try inner.optionalString("rows") {
            self = .rows(role)
        } else if let length = inner.optional("length") {
            self = .length(try Extent(length, inner.path("length")))
        } else if let layers = inner.optional("layers")?.int {
            let (a, b) = try pair("quotient")
            self = .quotientAt(layers: layers, a, b, otherwise: try inner.string("else"))
        } else if try inner.flag("none") {
            self = .optional
        } else if inner.optional("value") != nil {
            self = .layers(try Setting.LayerDefault(&inner))
        } else if inner.optional("ratio") != nil {
            let (a, b) = try pair("ratio")
            self = .ratio(a, b)
        } else if inner.optional("share") != nil {
            let (a, b) = try pair("share")
            self = .share(a, b)
        } else {
            let (a, b) = try pair("quotient")
            self = .quotient(a, b)
        }
        // Members of two kinds of default are refused here.
        try inner.finish()
    }
}
