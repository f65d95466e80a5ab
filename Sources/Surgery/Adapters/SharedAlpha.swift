/// The single alpha that an adapter in GGUF has; the scale of every weight is alpha / rank.
struct SharedAlpha {
    /// The alpha that is right for most weights.
    let value: Float
    /// The factor for B of each weight whose scale is not alpha / rank; `nil` for the others.
    let factors: [Float?]

    /// - Parameter weights: the scale and the rank of every weight.
    init(_ weights: [(scale: Float, rank: Int)]) {
        var counts: [Float: Int] = [:], best: Float = 0
        for (scale, rank) in weights {
            let alpha = SharedAlpha.alpha(scale: scale, rank: rank)
            counts[alpha, default: 0] += 1
            if best == 0 || counts[alpha, default: 0] > counts[best, default: 0] { best = alpha }
        }
        value = best
        factors = weights.map { scale, rank in
            let shared = best / Float(rank)
            return scale == shared || SharedAlpha.alpha(scale: scale, rank: rank) == best
                ? nil : Float(Double(scale) / Double(shared))
        }
    }

    /// The number that gives a scale when it is divided by the rank in f32; the nearest number if none does exactly.
    static func alpha(scale: Float, rank: Int) -> Float {
        let nearest = Float(Double(scale) * Double(rank))
        return [nearest, nearest.nextUp, nearest.nextDown].first { $0 / Float(rank) == scale } ?? nearest
    }
}
