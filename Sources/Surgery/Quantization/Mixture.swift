public import Formats

/// A named choice of types for all tensors, as in llama-quantize; from `formats/quants/mixtures.json`.
public struct Mixture: Sendable {
    /// The name for `--type`.
    public let name: String
    /// An alternative name.
    let alias: String?
    /// The type of an ordinary weight.
    public let base: DType
    /// `general.file_type` of the output.
    public let fileType: UInt32
    /// The type of the output matrix, or of the tied embedding; the base type for types that are not mixtures.
    let output: DType
    /// The type of single matrices (experts are stacked) when it differs from the base type.
    let single: DType?
    /// Rules for some of the tensors; the first that applies decides.
    let rules: [Rule]

    /// All mixtures, in file order.
    public static let all: [Mixture] = {
        let file = EmbeddedFiles.parsed(under: "quants/mixtures.json").first?.value
        return (file?.array ?? []).map(Mixture.init)
    }()

    private init(_ row: JSON) {
        guard let name = row["name"]?.string, let base = row["base"]?.string.flatMap(DType.init(named:)),
            let fileType = row["file_type"]?.int
        else { preconditionFailure("formats/quants/mixtures.json: a row is incomplete") }
        self.name = name
        self.base = base
        self.fileType = UInt32(fileType)
        alias = row["alias"]?.string
        output = row["output"]?.string.flatMap(DType.init(named:)) ?? base
        single = row["single"]?.string.flatMap(DType.init(named:))
        rules = (row["rules"]?.array ?? []).map { rule in
            guard let rule = Rule(rule) else {
                preconditionFailure("formats/quants/mixtures.json: a rule of \(name) is incomplete")
            }
            return rule
        }
    }

    /// The mixture with this name, ignoring case.
    public static func named(_ name: String) -> Mixture? {
        let name = name.uppercased()
        return all.first { $0.name == name || $0.alias == name }
    }
}
