extension AdapterConfig {
    /// The factor of a module's product: alpha / rank, or alpha / sqrt(rank), with the module's own alpha.
    func scale(of name: String, rank: Int) -> Float {
        let alpha = alphaPatterns.first { $0.pattern.matchesEnd(of: name) }?.alpha ?? alpha
        return Float(alpha / (usesRSLoRA ? Double(rank).squareRoot() : Double(rank)))
    }

    /// The rank that the configuration states for a module.
    func rank(of name: String) -> Int { rankPatterns.first { $0.pattern.matchesEnd(of: name) }?.rank ?? rank }
}
