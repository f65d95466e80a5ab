/// How a model of a family computes outside its layers: the member `model` of an architecture file.
package struct ModelDescription: Sendable, Equatable {
    /// The factor of the embeddings.
    package let embeddingScale: EmbeddingScale?
    /// The factor of the logits.
    package let logitScale: LogitScale?
    /// The setting of the soft cap of the logits; `nil` without one.
    package let cap: String?

    /// The factor of the embeddings.
    package enum EmbeddingScale: Sendable, Equatable {
        /// The square root of the width of the stream.
        case rootOfHidden
        /// A setting.
        case setting(String)
    }

    /// The factor of the logits.
    package enum LogitScale: Sendable, Equatable {
        /// A setting.
        case factor(String)
        /// One divided by a setting.
        case divisor(String)
    }

    /// A model without factors.
    init() { (embeddingScale, logitScale, cap) = (nil, nil, nil) }

    /// Reads the member.
    init(_ value: JSON) throws(DataFileError) {
        var reader = try MemberReader(value, "model")
        embeddingScale = try reader.optionalString("embedding_scale").map {
            $0 == "sqrt_hidden" ? .rootOfHidden : .setting($0)
        }
        let (factor, divisor) = (try reader.optionalString("logit_scale"), try reader.optionalString("logit_divisor"))
        guard factor == nil || divisor == nil else { throw reader.wrong("logit_scale", "excludes 'logit_divisor'") }
        logitScale = factor.map(LogitScale.factor) ?? divisor.map(LogitScale.divisor)
        cap = try reader.optionalString("final_cap")
        try reader.finish()
    }

    /// The required setting roles.
    package var roles: [String] {
        var result = cap.map { [$0] } ?? []
        if case .setting(let role) = embeddingScale { result.append(role) }
        switch logitScale {
        case .factor(let role), .divisor(let role): result.append(role)
        case nil: break
        }
        return result
    }
}
