internal import Formats

/// What llama-quantize treats apart by the name of a tensor or of an architecture: `formats/quants/exceptions.json`.
enum QuantizationExceptions {
    private static let file: JSON = {
        guard let file = EmbeddedFiles.parsed(under: "quants/exceptions.json").first?.value else {
            preconditionFailure("formats/quants/exceptions.json is not there")
        }
        return file
    }()

    private static func strings(_ json: JSON?) -> [String] { (json?.array ?? []).compactMap(\.string) }

    /// Lists of texts, by architecture.
    private static func lists(_ key: String) -> [String: [String]] {
        let members = file[key]?.object?.members ?? JSONObject().members
        return Dictionary(uniqueKeysWithValues: members.map { ($0, strings($1)) })
    }

    private static let kept = strings(file["kept"])
    private static let keptNames = strings(file["kept_names"])
    private static let keptOf = lists("kept_of")
    private static let eightBitsOf = lists("eight_bits_of")
    private static let expertsOf = lists("experts_of")
    private static let eightBitOutput = strings(file["eight_bit_output"])

    /// Architectures that have 70 billion parameters with so many layers.
    private static let large: [(architecture: String, layers: Int, groupedHeads: Bool)] =
        (file["large"]?.array ?? []).map {
            ($0["architecture"]?.string ?? "", $0["layers"]?.int ?? 0, $0["grouped_heads"] == .bool(true))
        }

    /// Whether a tensor is left alone because of what its name contains: small ones, and those that a runtime reads in
    /// another way.
    static func isKept(_ name: String) -> Bool { kept.contains(where: name.containsBytes) }

    /// Whether a tensor is left alone in models of an architecture.
    static func isKept(_ name: String, architecture: String) -> Bool {
        isKept(name) || keptNames.contains(name)
            || (keptOf[architecture].map { $0.contains(where: name.containsBytes) } ?? false)
    }

    /// Whether a tensor does not go below eight bits in models of an architecture.
    static func hasEightBits(_ name: String, architecture: String) -> Bool {
        eightBitsOf[architecture].map { $0.contains(where: name.containsBytes) } ?? false
    }

    /// Whether stacked matrices are those of experts; some architectures stack others too.
    static func isExperts(_ category: TensorCategory, architecture: String) -> Bool {
        expertsOf[architecture].map { $0.contains(category.rawValue) } ?? true
    }

    /// Whether the output matrix of an architecture has eight bits whatever the mixture says.
    static func hasEightBitOutput(architecture: String) -> Bool { eightBitOutput.contains(architecture) }

    /// Whether a model is taken for one of 70 billion parameters, whose values are worth more bits.
    static func isLarge(architecture: String, layers: Int, sharesKeys: Bool) -> Bool {
        large.contains {
            $0.architecture == architecture && $0.layers == layers && (sharesKeys || !$0.groupedHeads)
        }
    }
}
