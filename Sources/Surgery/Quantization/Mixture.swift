public import Formats

/// A named choice of type for every tensor, as llama-quantize makes it: the data of `formats/quants/mixtures.json`.
public struct Mixture: Sendable {
    /// The name that `--type` takes.
    public let name: String
    /// Another name for the same.
    let alias: String?
    /// The type of an ordinary weight.
    public let base: DType
    /// `general.file_type` of the output.
    public let fileType: UInt32
    /// The type of the output matrix, or of the embedding that serves as one; the base type under a plain mixture.
    let output: DType
    /// The type of matrices that are not stacked, as those of experts are, where it is not the base type.
    let single: DType?
    /// What holds for some of the tensors; the first rule that holds for one decides.
    let rules: [Rule]

    /// Every mixture, in the order of the file.
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

    /// The mixture of that name, in any case.
    public static func named(_ name: String) -> Mixture? {
        let name = name.uppercased()
        return all.first { $0.name == name || $0.alias == name }
    }
}
