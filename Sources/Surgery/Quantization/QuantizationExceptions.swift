internal import Formats

/// Exceptions of llama-quantize by tensor name or architecture, from `formats/quants/exceptions.json`.
enum QuantizationExceptions {
    private static let file: JSON = {
        guard let file = EmbeddedFiles.parsed(under: "quants/exceptions.json").first?.value else {
            preconditionFailure("formats/quants/exceptions.json is missing")
        }
        return file
    }()

    private static func strings(_ json: JSON?) -> [String] { (json?.array ?? []).compactMap(\.string) }

    /// Lists of strings by architecture.
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

    /// Architectures and layer counts of models with 70 billion parameters.
    private static let large: [(architecture: String, layers: Int, groupedHeads: Bool)] =
        (file["large"]?.array ?? []).map {
            ($0["architecture"]?.string ?? "", $0["layers"]?.int ?? 0, $0["grouped_heads"] == .bool(true))
        }

    /// Whether the name of a tensor excludes it: small tensors, and those that runtimes do not read quantized.
    static func isKept(_ name: String) -> Bool { kept.contains(where: name.containsBytes) }

    /// Whether a tensor is excluded in models of this architecture.
    static func isKept(_ name: String, architecture: String) -> Bool {
        isKept(name) || keptNames.contains(name)
            || (keptOf[architecture].map { $0.contains(where: name.containsBytes) } ?? false)
    }

    /// Whether a tensor has at least eight bits in models of this architecture.
    static func hasEightBits(_ name: String, architecture: String) -> Bool {
        eightBitsOf[architecture].map { $0.contains(where: name.containsBytes) } ?? false
    }

    /// Whether stacked matrices are experts; some architectures stack other matrices too.
    static func isExperts(_ category: TensorCategory, architecture: String) -> Bool {
        expertsOf[architecture].map { $0.contains(category.rawValue) } ?? true
    }

    /// Whether the output matrix of this architecture always has eight bits.
    static func hasEightBitOutput(architecture: String) -> Bool { eightBitOutput.contains(architecture) }

    /// Whether llama-quantize treats a model as one of 70 billion parameters, whose values get more bits.
    static func isLarge(architecture: String, layers: Int, sharesKeys: Bool) -> Bool {
        large.contains {
            $0.architecture == architecture && $0.layers == layers && (sharesKeys || !$0.groupedHeads)
        }
    }
}
