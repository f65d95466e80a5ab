internal import Analysis
internal import Checkpoints

/// The distances as a heat map: one row per run size, one column per first layer, each row from its nearest run (dark)
/// to its farthest (light), with the nearest marked.
enum HeatMap {
    private static let shades = Array("@%#*+=-:. ")
    /// The 256-colour codes from dark blue to yellow.
    private static let colours = [17, 18, 19, 25, 31, 37, 43, 79, 115, 151, 187, 223, 229]

    static func print(_ similarity: Similarity, overAllTokens: Bool, includesLast: Bool) {
        let distances = overAllTokens ? similarity.all ?? similarity.last : similarity.last
        let layers = similarity.layers
        let cell = layers <= 50 ? 2 : 1
        Output.line("distance between the inputs of layers l and l+n; each row from near (dark) to far")
        var header = "  n  l "
        for layer in stride(from: 0, to: layers, by: 5) { header += "\(layer)".padded(5 * cell) }
        Output.line(header)
        for size in 1..<max(layers, 1) {
            let row = (0...layers - size).map { distances[$0][$0 + size] }
            let chosen = similarity.nearestRuns(
                size: size, overAllTokens: overAllTokens, includesLast: includesLast
            ).first
            let (low, high) = (row.min() ?? 0, row.max() ?? 1)
            var line = "\(size)".padded(3, right: true) + "    "
            for (start, value) in row.enumerated() {
                let share = high > low ? (value - low) / (high - low) : 0
                line += mark(share, chosen: start == chosen?.layers.lowerBound, width: cell)
            }
            if Output.isColoured { line += "\u{1B}[0m" }
            if let chosen { line += "  \(chosen.layers.text) \(chosen.distance.fixed(4))" }
            Output.line(line)
        }
    }

    private static func mark(_ share: Double, chosen: Bool, width: Int) -> String {
        if Output.isColoured {
            let colour = colours[min(colours.count - 1, Int(share * Double(colours.count)))]
            let text = (chosen ? "▸" : " ").padded(width)
            return "\u{1B}[48;5;\(colour)m\u{1B}[38;5;231m\(text)"
        }
        let shade = shades[min(shades.count - 1, Int(share * Double(shades.count)))]
        return (chosen ? "o" : String(shade)).padded(width)
    }
}
