internal import Checkpoints
internal import Formats

extension Tensor {
    /// The type that the values were rounded to, for messages; `nil` for weights as trained.
    var quantizedSource: String? { dtype.isQuantized ? dtype.name : recipe.quantizedSource }
}

extension Recipe {
    /// The quantization behind casts, dequantization and row permutations.
    fileprivate var quantizedSource: String? {
        switch self {
        case .mapped, .archived: nil
        case .rows(let recipe, _): recipe.quantizedSource
        case .joined(let join): join.parts.lazy.compactMap(\.recipe.quantizedSource).first
        case .computed(let source):
            switch source {
            case let rows as RecodedRows: rows.source.quantizedSource
            case let rows as DequantizedRows: rows.weight.isRounded ? rows.format : nil
            default: nil
            }
        }
    }
}
