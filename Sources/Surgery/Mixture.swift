internal import Checkpoints
public import Formats

/// A named choice of type for every tensor, as llama-quantize makes it: the data of `formats/quants/mixtures.json`.
public struct Mixture: Sendable {
    /// The name that `--type` takes.
    public let name: String
    /// The type of an ordinary weight.
    public let base: DType
    /// `general.file_type` of the output.
    public let fileType: UInt32
    /// The type of the output matrix, or of the embedding that serves as one; `nil` for the base type.
    let output: DType?
    let rules: [Rule]

    /// Weights whose name contains `tensors`, in some of the layers, get another type.
    struct Rule: Sendable {
        let tensors: String
        let layers: Layers
        let type: DType
    }

    /// Which layers a rule is for, by rank among the layers that have the tensor.
    enum Layers: String, Sendable {
        case all
        case firstFour = "first_4"
        case firstEighth = "first_eighth"
        case moreBits = "more_bits"

        func contains(_ layer: Int, of count: Int) -> Bool {
            switch self {
            case .all: true
            case .firstFour: layer < 4
            case .firstEighth: layer < count / 8
            case .moreBits:
                layer < count / 8 || layer >= 7 * count / 8 || (layer - count / 8) % 3 == 2
            }
        }
    }

    /// Every mixture, in the order of the file.
    public static let all: [Mixture] = {
        let file = EmbeddedFiles.parsed(under: "quants/mixtures.json").first?.value
        return (file?.array ?? []).map { row in
            guard let name = row["name"]?.string,
                let base = row["base"]?.string.flatMap(DType.init(named:)),
                let fileType = row["file_type"]?.int
            else { preconditionFailure("formats/quants/mixtures.json: a row is incomplete") }
            let rules = (row["rules"]?.array ?? []).map { rule -> Rule in
                guard let tensors = rule["tensors"]?.string,
                    let layers = rule["layers"]?.string.flatMap(Layers.init),
                    let type = rule["type"]?.string.flatMap(DType.init(named:))
                else { preconditionFailure("formats/quants/mixtures.json: a rule of \(name) is incomplete") }
                return Rule(tensors: tensors, layers: layers, type: type)
            }
            return Mixture(
                name: name, base: base, fileType: UInt32(fileType),
                output: row["output"]?.string.flatMap(DType.init(named:)), rules: rules)
        }
    }()

    /// The mixture of that name, in any case.
    public static func named(_ name: String) -> Mixture? {
        all.first { $0.name == name.uppercased() }
    }
}
