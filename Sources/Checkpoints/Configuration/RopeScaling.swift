package import Formats

/// The scaling of rotary embeddings, in the kinds that both containers can store.
package enum RopeScaling: Sendable, Equatable {
    /// Positions divided by a factor.
    case linear(factor: Double)
    /// YaRN.
    case yarn(YaRN)
    /// The frequencies of Llama 3.1, which GGUF stores as a tensor of factors.
    case llama3(Llama3)
    /// NTK scaling that grows with the context once it is longer than the model's.
    case dynamic(factor: Double, context: Double)
    /// A divisor of each frequency, one list for short contexts and one for long ones.
    case longRoPE(LongRoPE)

    /// LongRoPE's parameters.
    package struct LongRoPE: Equatable, Sendable {
        /// The divisors up to the original context.
        package let short: [Float]
        /// The divisors beyond it.
        package let long: [Float]
        /// The context that the model was trained with first, in tokens.
        package let originalContext: Int
        /// The factor of sines and cosines.
        package let magnitude: Double
        /// Whether the file states the factor, so that it does not follow from the contexts.
        let statesMagnitude: Bool
    }

    /// YaRN's parameters.
    package struct YaRN: Equatable, Sendable {
        let factor: Double
        let originalContext: Int
        /// Optional parameters that both containers have, by their names in config.json.
        let others: JSONObject
        /// Optional parameters without a GGUF key or with another meaning there, by their names in config.json.
        let inexpressible: JSONObject
    }

    static let yarnKeys = [
        ("extrapolation_factor", "rope.scaling.yarn_ext_factor"),
        ("attention_factor", "rope.scaling.yarn_attn_factor"),
        ("beta_fast", "rope.scaling.yarn_beta_fast"), ("beta_slow", "rope.scaling.yarn_beta_slow"),
    ]

    /// Members that may be absent and otherwise must be finite numbers. Required members are checked where they are
    /// read.
    private static let optionalNumbers = yarnKeys.map(\.0) + ["mscale", "mscale_all_dim", "partial_rotary_factor"]
    private static let longRoPENumbers = optionalNumbers + ["factor", "original_max_position_embeddings"]

    /// Reads the object that scales positions: `rope_scaling`, or `rope_parameters` of transformers 5; `nil` where
    /// positions are not scaled.
    package init?(_ settings: Settings) throws(CheckpointError) {
        let role = SettingRole.rope.rawValue, name = settings.key(role)
        guard let object = try settings.value(role)?.object else { return nil }
        func wrong(_ problem: String, hint: String? = nil) -> CheckpointError {
            CheckpointError(file: settings.file, problem, hint: hint)
        }
        if let (kind, _) = object.members.first(where: { $0.1.object != nil }) {
            throw wrong(
                "'\(name)' has an embedding of its own for '\(kind)' layers, which is not known for \(settings.architecture.name)"
            )
        }
        guard let type = (object["rope_type"] ?? object["type"])?.string else {
            guard let key = object.keys.first(where: { $0 != "rope_theta" && $0 != "partial_rotary_factor" }) else {
                return nil
            }
            throw wrong("'\(name)' has '\(key)' and no type", hint: "add \"rope_type\"")
        }
        if type == "default" { return nil }
        for key in type == "longrope" || type == "su" ? RopeScaling.longRoPENumbers : RopeScaling.optionalNumbers {
            guard let value = object[key], value != .null, value.double?.isFinite != true else { continue }
            throw wrong("'\(key)' of the rope scaling '\(type)' is \(value.compact), which is not a number")
        }
        func number(_ key: String, or standard: Double? = nil) throws(CheckpointError) -> Double {
            let stated = object[key] == .null ? nil : object[key]
            guard let value = stated == nil ? standard : stated?.double, value.isFinite, value > 0 else {
                throw wrong("the rope scaling '\(type)' has no positive '\(key)'")
            }
            return value
        }
        let outside = try RopeScaling.outsideContext(settings)
        // transformers takes the one outside, llama.cpp's converter the one inside.
        if let outside, let inside = object["original_max_position_embeddings"]?.double, inside != outside,
            ["llama3", "yarn", "longrope", "su"].contains(type)
        {
            throw wrong(
                "'\(name)' has the original context \(Int(clampingFinite: inside)), and the model \(Int(clampingFinite: outside))"
            )
        }
        if let share = object["partial_rotary_factor"]?.double, share != 1,
            settings.architecture.setting("rotary_share") == nil
        {
            throw wrong("the rope scaling '\(type)' with 'partial_rotary_factor' \(share) is not known")
        }
        switch type {
        case "linear": self = .linear(factor: try number("factor"))
        case "yarn":
            // transformers' default. Without a context the original one has to be stated.
            let context = (try? settings.int(.context)).map(Double.init)
            var others = JSONObject()
            for (key, _) in RopeScaling.yarnKeys { others[key] = object[key]?.double.map(JSON.double) }
            var inexpressible = JSONObject()
            for key in ["mscale", "mscale_all_dim"] { inexpressible[key] = object[key]?.double.map(JSON.double) }
            if object["truncate"] == .bool(false) { inexpressible["truncate"] = .bool(false) }
            self = .yarn(
                YaRN(
                    factor: try number("factor"),
                    originalContext: Int(
                        clampingFinite: try number("original_max_position_embeddings", or: outside ?? context)),
                    others: others, inexpressible: inexpressible))
        case "llama3":
            self = .llama3(
                Llama3(
                    factor: try number("factor"), lowFactor: try number("low_freq_factor"),
                    highFactor: try number("high_freq_factor"),
                    originalContext: try number("original_max_position_embeddings", or: outside)))
        case "dynamic":
            self = .dynamic(
                factor: try number("factor"), context: Double(try settings.int(.context)))
        case "longrope", "su": self = .longRoPE(try LongRoPE(object, settings))
        default:
            throw wrong(
                "the rope scaling '\(type)' is not known", hint: "linear, dynamic, yarn, llama3 and longrope are")
        }
    }

    /// The original context that the configuration states beside the object.
    private static func outsideContext(_ settings: Settings) throws(CheckpointError) -> Double? {
        guard try settings.value("original_context") != nil else { return nil }
        return Double(try settings.int("original_context"))
    }

    /// The member `rope_scaling` of config.json.
    package var config: JSON {
        var members: [(String, JSON)]
        switch self {
        case .linear(let factor):
            members = [("rope_type", .string("linear")), ("factor", .double(factor))]
        case .yarn(let parameters):
            members = [
                ("rope_type", .string("yarn")), ("factor", .double(parameters.factor)),
                ("original_max_position_embeddings", .int(parameters.originalContext)),
            ]
            members += (Array(parameters.others.members) + Array(parameters.inexpressible.members)).map { ($0, $1) }
        case .llama3(let parameters):
            members = [
                ("rope_type", .string("llama3")), ("factor", .double(parameters.factor)),
                ("low_freq_factor", .double(parameters.lowFactor)),
                ("high_freq_factor", .double(parameters.highFactor)),
                ("original_max_position_embeddings", .int(Int(clampingFinite: parameters.originalContext))),
            ]
        case .dynamic(let factor, _): members = [("rope_type", .string("dynamic")), ("factor", .double(factor))]
        case .longRoPE(let parameters):
            members = [
                ("rope_type", .string("longrope")),
                ("short_factor", .array(parameters.short.map { .number("\($0)") })),
                ("long_factor", .array(parameters.long.map { .number("\($0)") })),
                ("original_max_position_embeddings", .int(parameters.originalContext)),
            ]
            if parameters.statesMagnitude {
                members.append(("attention_factor", .double(parameters.magnitude)))
            }
        }
        return .object(JSONObject(members))
    }
}

extension Int {
    /// The whole part of a finite number, or the nearest that fits.
    init(clampingFinite value: Double) { self = Int(exactly: value.rounded(.towardZero)) ?? .max }
}
