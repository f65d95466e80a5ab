/// How the layers of a family compute, in terms of its settings: the member `layer` of an architecture file.
///
/// A family without it can be cut, but neither run nor converted.
package struct LayerDescription: Sendable, Equatable {
    /// The kind of the norms.
    package let norm: Norm
    /// Where the norms are.
    package let norms: Placement
    /// How attention and the MLP share the stream; `nil` when the MLP follows attention.
    package let parallel: Parallel?
    /// The norms of queries and keys; `nil` when they have none.
    package let queryKeyNorm: QueryKeyNorm?
    /// The rotary embedding; `nil` without one.
    package let rope: Rope?
    /// The MLP.
    package let feedForward: FeedForward
    /// The sliding window; `nil` when every token sees all before it.
    package let window: Window?
    /// The factor of the scores before softmax; `nil` for one divided by the root of a head's size.
    package let scale: Scale?
    /// The setting of the soft cap of scores; `nil` without one.
    package let cap: String?
    /// The setting of the bound that queries, keys and values are clamped to; `nil` without one.
    package let clip: String?
    /// The setting of the factor of what attention and the MLP add to the stream; `nil` for 1.
    package let residualScale: String?
    /// How queries grow with their position; `nil` when they do not.
    package let positionScale: PositionScale?

    /// Kinds of norms.
    package enum Norm: String, CaseIterable, Sendable {
        /// Divides by the root of the mean square.
        case rms
        /// Subtracts the mean and divides by the standard deviation.
        case layer
        /// A layer norm without a weight.
        case plain
    }

    /// Where a layer has norms.
    package enum Placement: String, CaseIterable, Sendable {
        /// Before attention and before the MLP.
        case before
        /// After attention and after the MLP, before their results are added to the stream.
        case after
        /// Both.
        case both
    }

    /// Attention and the MLP read the same stream, and both results are added to it.
    package struct Parallel: Sendable, Equatable {
        /// Whether the MLP reads what attention reads; else it has a norm of its own.
        package let sharesNorm: Bool
        /// The setting that switches it on; `nil` for always.
        package let condition: SettingFlag?
    }

    /// A sliding window.
    package struct Window: Sendable, Equatable {
        /// The setting of its width.
        package let width: String
        /// The setting of the layers that have it; `nil` for all.
        package let layers: SettingFlag?
    }

    /// Reads the member.
    init(_ value: JSON) throws(DataFileError) {
        var reader = try MemberReader(value, "layer")
        norm = try reader.choice("norm", Norm.self)
        norms = reader.optional("norms") == nil ? .before : try reader.choice("norms", Placement.self)
        parallel = try reader.object("parallel") { (inner) throws(DataFileError) in
            Parallel(sharesNorm: try inner.flag("shared_norm"), condition: try inner.setting("if"))
        }
        let kind = norm
        queryKeyNorm = try reader.object("qk_norm") { (inner) throws(DataFileError) in
            try QueryKeyNorm(&inner, norm: kind)
        }
        rope = try reader.object("rope") { (inner) throws(DataFileError) in try Rope(&inner) }
        feedForward = try FeedForward(try reader.required("ffn"), "layer.ffn")
        window = try reader.optionalString("window").map { [layers = try reader.setting("window_layers")] in
            Window(width: $0, layers: layers)
        }
        scale = try reader.object("scale") { (inner) throws(DataFileError) in try Scale(&inner) }
        cap = try reader.optionalString("cap")
        clip = try reader.optionalString("clip")
        residualScale = try reader.optionalString("residual_scale")
        positionScale = try reader.object("position_scale") { (inner) throws(DataFileError) in
            PositionScale(beta: try inner.string("beta"), context: try inner.string("context"))
        }
        try reader.finish()
    }

    /// The required setting roles.
    package var roles: [String] {
        let single = [
            parallel?.condition?.role, queryKeyNorm?.condition?.role, window?.width, window?.layers?.role, scale?.role,
            cap, clip, residualScale, positionScale?.beta, positionScale?.context,
        ]
        return single.compactMap { $0 } + feedForward.roles + (rope?.roles ?? [])
    }
}

/// A setting that is true or false, or the opposite of one: `!dense_layers`.
package struct SettingFlag: Sendable, Equatable {
    /// The setting.
    package let role: String
    /// Whether the flag is true when the setting is false.
    package let isNegated: Bool

    /// Reads a role with or without an exclamation mark.
    package init(_ text: String) {
        isNegated = text.hasPrefix("!")
        role = isNegated ? String(text.dropFirst()) : text
    }
}

extension MemberReader {
    /// A setting that may be absent.
    mutating func setting(_ key: String) throws(DataFileError) -> SettingFlag? {
        try optionalString(key).map(SettingFlag.init)
    }

    /// An object that may be absent; members that `read` does not read are refused.
    mutating func object<Value>(
        _ key: String, _ read: (inout MemberReader) throws(DataFileError) -> Value
    ) throws(DataFileError) -> Value? {
        guard let value = optional(key) else { return nil }
        var inner = try MemberReader(value, path(key))
        let result = try read(&inner)
        try inner.finish()
        return result
    }
}
