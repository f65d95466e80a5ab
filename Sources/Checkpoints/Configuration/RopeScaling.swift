package import Formats

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The scaling of rotary embeddings, in the forms that both containers can hold.
package enum RopeScaling: Sendable {
    /// Positions divided by a factor.
    case linear(factor: Double)
    /// YaRN, with its optional numbers by the names of config.json.
    case yarn(factor: Double, originalContext: Int, others: [(key: String, value: Double)])
    /// The frequencies of Llama 3.1, which GGUF stores as a tensor of factors.
    case llama3(Llama3)

    /// The numbers of Llama 3.1's scaling, with their usual values.
    package struct Llama3: Equatable, Sendable {
        var factor = 8.0
        var lowFactor = 1.0
        var highFactor = 4.0
        var originalContext = 8192.0
    }

    private static let yarnKeys = [
        ("extrapolation_factor", "rope.scaling.yarn_ext_factor"),
        ("attention_factor", "rope.scaling.yarn_attn_factor"),
        ("beta_fast", "rope.scaling.yarn_beta_fast"), ("beta_slow", "rope.scaling.yarn_beta_slow"),
    ]

    /// Reads `rope_parameters` (transformers 5) or `rope_scaling` (4); `nil` where positions are not scaled.
    package init?(config: JSONObject, file: String) throws(CheckpointError) {
        let object = config["rope_parameters"]?.object ?? config["rope_scaling"]?.object
        guard let object, let type = (object["rope_type"] ?? object["type"])?.string,
            type != "default"
        else { return nil }
        func number(_ key: String) throws(CheckpointError) -> Double {
            guard let value = object[key]?.double, value.isFinite, value > 0 else {
                throw CheckpointError(
                    file: file + "/config.json", "the rope scaling '\(type)' has no positive '\(key)'")
            }
            return value
        }
        switch type {
        case "linear": self = .linear(factor: try number("factor"))
        case "yarn":
            let others = RopeScaling.yarnKeys.compactMap { key, _ in
                object[key]?.double.map { (key, $0) }
            }
            self = .yarn(
                factor: try number("factor"),
                originalContext: Int(clampingFinite: try number("original_max_position_embeddings")),
                others: others)
        case "llama3":
            self = .llama3(
                Llama3(
                    factor: try number("factor"), lowFactor: try number("low_freq_factor"),
                    highFactor: try number("high_freq_factor"),
                    originalContext: try number("original_max_position_embeddings")))
        default:
            throw CheckpointError(
                file: file + "/config.json", "the rope scaling '\(type)' cannot be converted",
                hint: "linear, yarn and llama3 can")
        }
    }

    /// Reads the scaling from GGUF metadata and the tensor of frequency factors.
    package init?(
        metadata: GGUFMetadata, factors: [Float]?, frequencies: [Double], file: String
    ) throws(CheckpointError) {
        if let factors {
            let guess = Llama3(factor: Double(factors.max() ?? 1))
            let expected = guess.factors(frequencies)
            guard expected.count == factors.count,
                zip(expected, factors).allSatisfy({ abs($0 - $1) <= 1e-5 * abs($1) })
            else {
                throw CheckpointError(
                    file: file, tensor: "rope_freqs.weight", "holds factors that no config.json can express")
            }
            self = .llama3(guess)
            return
        }
        guard let type = metadata.setting("rope.scaling.type")?.string, type != "none",
            let factor = metadata.setting("rope.scaling.factor")?.double
        else { return nil }
        switch type {
        case "linear": self = .linear(factor: factor)
        case "yarn":
            let others = RopeScaling.yarnKeys.compactMap { key, gguf in
                metadata.setting(gguf)?.double.map { (key, $0) }
            }
            self = .yarn(
                factor: factor,
                originalContext: metadata.setting("rope.scaling.original_context_length")?.int ?? 0,
                others: others)
        default: throw CheckpointError(file: file, "the rope scaling '\(type)' cannot be converted")
        }
    }

    /// The GGUF keys; none for Llama 3, whose factors are a tensor.
    package func ggufPairs(prefix: String) -> [GGUFMetadata.Pair] {
        func pair(_ key: String, _ value: GGUFValue) -> GGUFMetadata.Pair {
            GGUFMetadata.Pair(key: "\(prefix).\(key)", value: value)
        }
        switch self {
        case .llama3: return []
        case .linear(let factor):
            return [
                pair("rope.scaling.type", .string("linear")),
                pair("rope.scaling.factor", .f32(Float(factor))),
            ]
        case .yarn(let factor, let context, let others):
            return [
                pair("rope.scaling.type", .string("yarn")),
                pair("rope.scaling.factor", .f32(Float(factor))),
                pair("rope.scaling.original_context_length", .u32(UInt32(clamping: context))),
            ]
                + RopeScaling.yarnKeys.compactMap { key, gguf in
                    others.first { $0.key == key }.map { pair(gguf, .f32(Float($0.value))) }
                }
        }
    }

    /// The member `rope_scaling` of config.json.
    package var config: JSON {
        var members: [(String, JSON)]
        switch self {
        case .linear(let factor):
            members = [("rope_type", .string("linear")), ("factor", .double(factor))]
        case .yarn(let factor, let context, let others):
            members = [
                ("rope_type", .string("yarn")), ("factor", .double(factor)),
                ("original_max_position_embeddings", .int(context)),
            ]
            members += others.map { ($0.key, .double($0.value)) }
        case .llama3(let numbers):
            members = [
                ("rope_type", .string("llama3")), ("factor", .double(numbers.factor)),
                ("low_freq_factor", .double(numbers.lowFactor)),
                ("high_freq_factor", .double(numbers.highFactor)),
                ("original_max_position_embeddings", .int(Int(clampingFinite: numbers.originalContext))),
            ]
        }
        return .object(JSONObject(members))
    }

    /// The tensor `rope_freqs.weight` of GGUF; `nil` unless the scaling is Llama 3's.
    package func frequencyFactors(_ config: JSONObject, file: String) throws(CheckpointError) -> Tensor? {
        guard case .llama3(let numbers) = self else { return nil }
        let heads = config["num_attention_heads"]?.int ?? 0
        let size = config["head_dim"]?.int ?? (heads > 0 ? (config["hidden_size"]?.int ?? 0) / heads : 0)
        let theta =
            config["rope_theta"]?.double ?? config["rope_parameters"]?["rope_theta"]?.double ?? 10000
        try RopeScaling.check(headSize: size, file: file)
        let factors = numbers.factors(RopeScaling.frequencies(headSize: size, theta: theta))
        return Tensor(
            name: "rope_freqs.weight", dtype: .f32, shape: [factors.count],
            recipe: .computed(Constants(values: factors)))
    }

    /// Refuses a head size that no model has, before a table of that length is made.
    package static func check(headSize: Int, file: String) throws(CheckpointError) {
        guard 1...65_536 ~= headSize else {
            throw CheckpointError(file: file, "has heads of the size \(headSize.grouped)")
        }
    }

    /// The rotary frequencies of a head, in f32 as torch computes them.
    package static func frequencies(headSize: Int, theta: Double) -> [Double] {
        stride(from: 0, to: max(0, headSize), by: 2).map { index in
            Double(1 / powf(Float(theta), Float(index) / Float(headSize)))
        }
    }
}

extension RopeScaling.Llama3 {
    /// The factor by which each frequency is divided.
    package func factors(_ frequencies: [Double]) -> [Float] {
        frequencies.map { frequency in
            let wavelength = 2 * Double.pi / frequency
            if wavelength < originalContext / highFactor { return 1 }
            if wavelength > originalContext / lowFactor { return Float(factor) }
            let smooth = (originalContext / wavelength - lowFactor) / (highFactor - lowFactor)
            return Float(1 / ((1 - smooth) / factor + smooth))
        }
    }
}

/// A tensor of a few known values.
private struct Constants: RowSource {
    let values: [Float]

    var description: String { "\(values.count) computed values" }

    func write(
        rows: Range<Int>, into output: UnsafeMutableRawBufferPointer
    ) throws(CheckpointError) {
        values.withUnsafeBytes { output.copyMemory(from: $0) }
    }
}

extension Int {
    /// The whole part of a finite number, or the nearest that fits.
    fileprivate init(clampingFinite value: Double) { self = Int(exactly: value.rounded(.towardZero)) ?? .max }
}
