internal import Formats

extension Mixture {
    /// A rule that gives the tensors of a category another type in some layers and some models.
    struct Rule: Sendable {
        let category: TensorCategory
        let condition: Condition?
        let layers: Layers
        let type: DType

        /// Reads a rule from the data file; `nil` when something is missing or unknown.
        init?(_ row: JSON) {
            guard let category = row["tensors"]?.string.flatMap(TensorCategory.init),
                let layers = Layers(rawValue: row["layers"]?.string ?? "all"),
                let type = row["type"]?.string.flatMap(DType.init(named:))
            else { return nil }
            condition = row["if"]?.string.flatMap(Condition.init)
            guard condition != nil || row["if"] == nil else { return nil }
            (self.category, self.layers, self.type) = (category, layers, type)
        }
    }

    /// The models that a rule applies to.
    enum Condition: String, Sendable {
        case falcon
        case groupedHeads = "grouped_heads"
        case eightExperts = "eight_experts"
        case importance
    }

    /// The layers that a rule applies to.
    enum Layers: String, Sendable {
        case all
        case firstTwo = "first_2"
        case firstFour = "first_4"
        case firstSixteenth = "first_sixteenth"
        case firstEighth = "first_eighth"
        case moreBits = "more_bits"

        func contains(_ layer: Int, of count: Int) -> Bool {
            switch self {
            case .all: true
            case .firstTwo: layer < 2
            case .firstFour: layer < 4
            case .firstSixteenth: layer < count / 16
            case .firstEighth: layer < count / 8
            case .moreBits: layer < count / 8 || layer >= 7 * count / 8 || (layer - count / 8) % 3 == 2
            }
        }
    }
}
