extension LayerDescription {
    /// Which elements of a head are rotated together.
    package enum Pairs: String, CaseIterable, Sendable {
        /// Element i with element i + half.
        case halves
        /// Element 2i with element 2i + 1.
        case neighbours
    }

    /// A rotary embedding.
    package struct Rope: Sendable, Equatable {
        /// The pairs in an HF checkpoint.
        package let pairs: Pairs
        /// The pairs in a GGUF file.
        package let ggufPairs: Pairs
        /// The setting of the base in layers with a window; `nil` when it is the same as in the others.
        package let windowTheta: String?
        /// Whether the scaling of positions holds in layers with a window too.
        package let scalesWindowed: Bool
        /// The setting of the layers that are rotated; `nil` for all.
        package let layers: SettingFlag?
        /// Whether layers without a window are not rotated, in models in which other layers have one.
        package let onlyWindowed: Bool

        init(_ reader: inout MemberReader) throws(DataFileError) {
            pairs = try reader.choice("pairs", Pairs.self)
            ggufPairs = try reader.choice("gguf_pairs", Pairs.self)
            windowTheta = try reader.optionalString("window_theta")
            scalesWindowed = reader.optional("window_scaling") == nil ? true : try reader.flag("window_scaling")
            layers = try reader.setting("layers")
            onlyWindowed = try reader.flag("only_windowed")
        }

        /// The required setting roles.
        var roles: [String] { [windowTheta, layers?.role].compactMap { $0 } }
    }

    /// Norms of queries and keys.
    package struct QueryKeyNorm: Sendable, Equatable {
        /// What one norm spans.
        package let span: Span
        /// Its kind.
        package let norm: Norm
        /// Whether rotation comes first.
        package let followsRotation: Bool
        /// The setting that switches them on; `nil` for always.
        package let condition: SettingFlag?

        /// What one norm spans.
        package enum Span: String, CaseIterable, Sendable {
            /// One head; all heads share the weight.
            case head
            /// One head, each with a weight of its own.
            case heads
            /// All heads together.
            case width
        }

        init(_ reader: inout MemberReader, norm: Norm) throws(DataFileError) {
            span = try reader.choice("over", Span.self)
            self.norm = reader.optional("norm") == nil ? norm : try reader.choice("norm", Norm.self)
            followsRotation = try reader.flag("after_rope")
            condition = try reader.setting("if")
        }
    }

    /// The factor of the scores before softmax.
    package enum Scale: Sendable, Equatable {
        /// One divided by the root of a setting.
        case reciprocalRoot(String)
        /// A setting.
        case value(String)

        init(_ reader: inout MemberReader) throws(DataFileError) {
            if let role = try reader.optionalString("rsqrt") {
                self = .reciprocalRoot(role)
            } else {
                self = .value(try reader.string("value"))
            }
        }

        /// The setting.
        package var role: String {
            switch self {
            case .reciprocalRoot(let role), .value(let role): role
            }
        }
    }

    /// Queries are multiplied by `1 + beta * log(1 + floor(position / context))`.
    package struct PositionScale: Sendable, Equatable {
        /// The setting of beta.
        package let beta: String
        /// The setting of the context that the model was trained with first, in tokens.
        package let context: String
    }
}
