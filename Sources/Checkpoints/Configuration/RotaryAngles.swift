internal import Formats

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// How fast the pairs of a head rotate.
package struct RotaryAngles: Sendable, Equatable {
    /// The angle of each pair in radians per position; half as many as elements are rotated.
    package let frequencies: [Double]
    /// The factor of sines and cosines.
    package let magnitude: Float
}

extension RotaryPlan {
    /// The frequencies and the factor for a context of `contextLength` tokens.
    package func angles(contextLength: Int) -> RotaryAngles {
        let plain = RotaryPlan.frequencies(size: size, theta: theta)
        func divided(_ factors: [Float]) -> [Double] { zip(plain, factors).map { $0 / Double($1) } }
        if let factors { return RotaryAngles(frequencies: divided(factors), magnitude: 1) }
        switch scaling {
        case nil: return RotaryAngles(frequencies: plain, magnitude: 1)
        case .linear(let factor): return RotaryAngles(frequencies: plain.map { $0 / factor }, magnitude: 1)
        case .llama3(let parameters):
            return RotaryAngles(frequencies: divided(parameters.factors(plain)), magnitude: 1)
        case .dynamic(let factor, let context):
            let length = max(Double(contextLength), context)
            let growth = pow(factor * length / context - (factor - 1), Double(size) / Double(max(1, size - 2)))
            return RotaryAngles(
                frequencies: RotaryPlan.frequencies(size: size, theta: theta * growth), magnitude: 1)
        case .longRoPE(let parameters):
            let factors = contextLength > parameters.originalContext ? parameters.long : parameters.short
            return RotaryAngles(frequencies: divided(factors), magnitude: Float(parameters.magnitude))
        case .yarn(let parameters):
            return RotaryAngles(
                frequencies: parameters.frequencies(plain, theta: theta), magnitude: Float(parameters.magnitude))
        }
    }

    /// A number that is the same for two context lengths when their angles are the same.
    package func angleKind(contextLength: Int) -> Int {
        switch scaling {
        case .dynamic(_, let context) where Double(contextLength) > context: contextLength
        case .longRoPE(let parameters) where contextLength > parameters.originalContext: 1
        default: 0
        }
    }

    /// Whether a context that grows over a length at which the angles change is computed anew, as transformers does with
    /// LongRoPE. With NTK scaling ("dynamic") it keeps the keys of earlier tokens.
    ///
    /// llama.cpp chooses LongRoPE's factors by the context that it was started with, however short the text is.
    package var restartsContexts: Bool {
        if case .longRoPE = scaling { true } else { false }
    }

    /// Checks that lists of factors fit the frequencies.
    func checkFactors(file: String) throws(CheckpointError) {
        var lists = factors.map { [$0] } ?? []
        if case .longRoPE(let parameters) = scaling { lists = [parameters.short, parameters.long] }
        for list in lists where list.count != size / 2 {
            throw CheckpointError(file: file, "has \(list.count) rope factors for \(size / 2) frequencies")
        }
    }

    /// The frequencies of a head without scaling, in f32 as torch computes them.
    package static func frequencies(size: Int, theta: Double) -> [Double] {
        stride(from: 0, to: max(0, size), by: 2).map { index in
            Double(1 / powf(Float(theta), Float(index) / Float(size)))
        }
    }
}

extension RopeScaling.YaRN {
    /// The factor of sines and cosines.
    package var magnitude: Double {
        if let stated = others["attention_factor"]?.double { return stated }
        func scale(_ factor: Double, _ weight: Double) -> Double {
            Self.usualMagnitude(factor: factor, weight: weight)
        }
        if let weight = inexpressible["mscale"]?.double, let all = inexpressible["mscale_all_dim"]?.double,
            weight != 0, all != 0
        {
            return scale(factor, weight) / scale(factor, all)
        }
        return scale(factor, 1)
    }

    /// The factor of sines and cosines where none is stated.
    static func usualMagnitude(factor: Double, weight: Double = 1) -> Double {
        factor <= 1 ? 1 : 0.1 * weight * log(factor) + 1
    }

    /// Slow frequencies are divided by the factor, fast ones stay, with a ramp between (arXiv 2309.00071).
    fileprivate func frequencies(_ plain: [Double], theta: Double) -> [Double] {
        let size = Double(2 * plain.count)
        func dimension(_ rotations: Double) -> Double {
            size * log(Double(originalContext) / (rotations * 2 * Double.pi)) / (2 * log(theta))
        }
        let fast = others["beta_fast"]?.double ?? 32, slow = others["beta_slow"]?.double ?? 1
        var low = dimension(fast), high = dimension(slow)
        if inexpressible["truncate"] != .bool(false) { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        (low, high) = (max(low, 0), min(high, size - 1))
        if low == high { high += 0.001 }
        return plain.enumerated().map { index, frequency in
            let ramp = min(max((Double(index) - low) / (high - low), 0), 1)
            return frequency / factor * ramp + frequency * (1 - ramp)
        }
    }
}

extension RopeScaling.LongRoPE {
    /// Reads the object that scales positions.
    init(_ object: JSONObject, _ settings: Settings) throws(CheckpointError) {
        func list(_ key: String) throws(CheckpointError) -> [Float] {
            let values = object[key]?.array ?? [], numbers = values.compactMap { $0.double.map { Float($0) } }
            guard !values.isEmpty, numbers.count == values.count, numbers.allSatisfy({ $0.isFinite && $0 > 0 }) else {
                throw CheckpointError(
                    file: settings.file, "the rope scaling 'longrope' has no list '\(key)' of positive numbers")
            }
            return numbers
        }
        let context = try settings.int(.context)
        let outside = try settings.value("original_context").map { (_) throws(CheckpointError) in
            try settings.int("original_context")
        }
        let original = object["original_max_position_embeddings"]?.int ?? outside ?? context
        guard original > 1 else {
            throw CheckpointError(
                file: settings.file, "the rope scaling 'longrope' has an original context of \(original)")
        }
        self.init(
            short: try list("short_factor"), long: try list("long_factor"), originalContext: original,
            magnitude: object["attention_factor"]?.double
                ?? RopeScaling.LongRoPE.magnitude(
                    factor: object["factor"]?.double ?? Double(context) / Double(original), original),
            statesMagnitude: object["attention_factor"]?.double != nil || object["factor"]?.double != nil)
    }

    /// The factor of sines and cosines for a context that is `factor` times as long as the original one.
    package static func magnitude(factor: Double, _ originalContext: Int) -> Double {
        factor <= 1 ? 1 : (1 + log(factor) / log(Double(originalContext))).squareRoot()
    }
}
