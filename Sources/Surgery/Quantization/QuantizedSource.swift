internal import Checkpoints
internal import Formats

extension Tensor {
    /// What the values were rounded to before, in words; `nil` for weights as they were trained.
    var quantizedSource: String? { dtype.isQuantized ? dtype.name : recipe.quantizedSource }
}

extension Recipe {
    /// The quantization behind casts, unpacking and orders of rows.
    fileprivate var quantizedSource: String? {
        switch self {
        case .mapped, .archived: nil
        case .rows(let recipe, _): recipe.quantizedSource
        case .joined(let join): join.parts.lazy.compactMap(\.recipe.quantizedSource).first
        case .computed(let source):
            switch source {
            case let rows as RecodedRows: rows.source.quantizedSource
            case let rows as DequantizedRows: rows.weight.isRounded ? "packed codes" : nil
            default: nil
            }
        }
    }
}
