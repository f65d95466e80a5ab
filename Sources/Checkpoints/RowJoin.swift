/// Rows of several sources in turn: a number from the first, a number from the second, and so on, repeatedly.
///
/// One turn puts sources behind each other; several turns weave them, as fused queries, keys and values of each head.
public struct RowJoin: Sendable, CustomStringConvertible {
    /// A source, and how many of its rows follow each other in a turn.
    public struct Part: Sendable {
        /// Where the rows come from.
        public let recipe: Recipe
        /// Rows in a turn.
        public let run: Int

        /// A part.
        public init(recipe: Recipe, run: Int) {
            self.recipe = recipe
            self.run = run
        }
    }

    /// The parts, in their order in a turn.
    public let parts: [Part]
    /// How often the parts follow each other.
    public let turns: Int

    /// A join.
    public init(_ parts: [Part], turns: Int = 1) {
        self.parts = parts
        self.turns = turns
    }

    private var rowsInTurn: Int { parts.reduce(0) { $0 + $1.run } }  // fits: rows of the result

    /// The join in words.
    public var description: String {
        "\(turns) times " + parts.map { "\($0.run) rows of \($0.recipe)" }.joined(separator: ", ")
    }

    /// The runs of source rows that some rows of the result are, in order.
    package func runs(_ rows: Range<Int>) -> [(part: Part, rows: Range<Int>)] {
        var result: [(part: Part, rows: Range<Int>)] = []
        var row = rows.lowerBound
        while row < rows.upperBound {
            let turn = row / rowsInTurn
            var inner = row % rowsInTurn
            for part in parts {
                guard inner < part.run else {
                    inner -= part.run
                    continue
                }
                let count = min(part.run - inner, rows.upperBound - row)
                let first = turn * part.run + inner  // fits: a row of the part
                result.append((part, first..<first + count))
                row += count
                break
            }
        }
        return result
    }
}
