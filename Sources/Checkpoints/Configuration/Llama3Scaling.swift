extension RopeScaling {
    /// The parameters of Llama 3.1's scaling, with their defaults.
    package struct Llama3: Equatable, Sendable {
        var factor = 8.0
        var lowFactor = 1.0
        var highFactor = 4.0
        var originalContext = 8192.0
    }
}

extension RopeScaling.Llama3 {
    /// The factor by which each frequency is divided, in f32 as torch computes them.
    package func factors(_ frequencies: [Double]) -> [Float] {
        let (context, low, high) = (Float(originalContext), Float(lowFactor), Float(highFactor))
        return frequencies.map { frequency in
            // torch divides a number by a tensor by multiplying it with the reciprocal.
            let wavelength = 1 / Float(frequency) * Float(2 * Double.pi)
            if Double(wavelength) < originalContext / highFactor { return 1 }
            if Double(wavelength) > originalContext / lowFactor { return Float(factor) }
            let smooth = (1 / wavelength * context - low) / (high - low)
            return 1 / ((1 - smooth) / Float(factor) + smooth)
        }
    }

    /// Finds the parameters that produce the factors of a GGUF file.
    ///
    /// Parameters that the factors do not determine get their defaults; the frequencies are the same then.
    ///
    /// - Throws: when no parameters produce these factors.
    package init(factors: [Float], frequencies: [Double], file: String) throws(CheckpointError) {
        let factor = Double(factors.max() ?? 1)
        // The original contexts of published models come first; all are powers of two.
        var candidates = ([8192.0] + (5...20).map { Double(1 << $0) }).map {
            RopeScaling.Llama3(factor: factor, originalContext: $0)
        }
        if let solved = RopeScaling.Llama3.solved(factors, frequencies, factor: factor) { candidates.append(solved) }
        for candidate in candidates where candidate.gives(factors, frequencies) {
            self = candidate
            return
        }
        throw CheckpointError(
            file: file, tensor: "rope_freqs.weight", "has factors that no parameters of Llama 3's scaling produce",
            hint: "keep the model in GGUF")
    }

    private func gives(_ factors: [Float], _ frequencies: [Double]) -> Bool {
        let expected = self.factors(frequencies)
        return expected.count == factors.count && zip(expected, factors).allSatisfy { abs($0 - $1) <= 1e-5 * abs($1) }
    }

    /// Between the two ends, the unscaled share is linear in the inverse wavelength, so two points determine both ends,
    /// up to a common factor. The low end is set to 1.
    private static func solved(_ factors: [Float], _ frequencies: [Double], factor: Double) -> Self? {
        guard factor > 1, factors.count == frequencies.count else { return nil }
        let points = zip(frequencies, factors).compactMap { frequency, value -> (x: Double, y: Double)? in
            guard value > 1, Double(value) < factor else { return nil }
            return (frequency / (2 * Double.pi), (1 / Double(value) - 1 / factor) / (1 - 1 / factor))
        }
        guard let first = points.first, let last = points.last, first.x != last.x else { return nil }
        let slope = (first.y - last.y) / (first.x - last.x), start = first.y - slope * first.x
        guard slope > 0, start < 0 else { return nil }
        let context = (slope / -start).rounded()
        let high = ((1 - start) / slope * context * 1e4).rounded() / 1e4
        guard context.isFinite, context >= 1, high.isFinite, high > 1 else { return nil }
        return RopeScaling.Llama3(factor: factor, lowFactor: 1, highFactor: high, originalContext: context)
    }
}
