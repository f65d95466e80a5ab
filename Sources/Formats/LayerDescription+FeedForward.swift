extension LayerDescription {
    /// Kinds of MLPs.
    package enum FeedForward: Sendable, Equatable {
        /// `down(act(gate x) * up x)`, with the setting that names the activation.
        case gated(activation: String)
        /// `down(act(up x))`
        case plain(activation: String)
        /// Some of many MLPs, chosen for each token.
        case experts(Experts)

        /// Reads the member `ffn`.
        init(_ value: JSON, _ name: String) throws(DataFileError) {
            var reader = try MemberReader(value, name)
            let (gated, plain) = (try reader.optionalString("gated"), try reader.optionalString("plain"))
            let experts = try reader.object("experts") { (inner) throws(DataFileError) in try Experts(&inner) }
            try reader.finish()
            switch (gated, plain, experts) {
            case (let activation?, nil, nil): self = .gated(activation: activation)
            case (nil, let activation?, nil): self = .plain(activation: activation)
            case (nil, nil, let experts?): self = .experts(experts)
            default: throw reader.wrong("gated", "'plain' and 'experts' exclude each other, and one is needed")
            }
        }

        /// The required setting roles.
        var roles: [String] {
            switch self {
            case .gated(let activation), .plain(let activation): [activation]
            case .experts(let experts): experts.roles
            }
        }
    }

    /// A mixture of gated experts, chosen by the softmax of a router.
    package struct Experts: Sendable, Equatable {
        /// The setting of how many there are.
        package let count: String
        /// The setting of how many each token uses.
        package let used: String
        /// The setting of the columns inside one.
        package let width: String
        /// The setting that names the activation.
        package let activation: String
        /// Whether the weights of the chosen experts are divided by their sum; `nil` for always.
        package let normalizes: SettingFlag?
        /// The setting of the columns inside the expert that every token uses; `nil` without one.
        package let sharedWidth: String?
        /// The layers with experts: those for which all flags hold. The others have one gated MLP.
        package let layers: [SettingFlag]

        init(_ reader: inout MemberReader) throws(DataFileError) {
            count = try reader.string("count")
            used = try reader.string("used")
            width = try reader.string("width")
            activation = try reader.string("gated")
            normalizes = try reader.setting("normalize")
            sharedWidth = try reader.optionalString("shared")
            layers = try reader.strings("layers").map(SettingFlag.init)
        }

        /// The required setting roles.
        var roles: [String] {
            [count, used, width, activation] + [normalizes?.role, sharedWidth].compactMap { $0 } + layers.map(\.role)
        }
    }
}
