internal import Analysis
internal import Checkpoints

/// The distances as a heat map: a row for every size of a run with its nearest run, and a cell for every first layer.
///
/// In a row the runs that may be cut are ranked from the nearest (dark) to the farthest (light), so that the differences
/// between them show however far the others are.
struct HeatMap {
    let similarity: Similarity
    let overAllTokens: Bool
    let includesLast: Bool
    let colours: Colours
    /// The columns that a line may have; `nil` without a limit.
    let width: Int?
    /// Whether the architecture lets a run be cut.
    let canBeCut: (Range<Int>) -> Bool

    private static let shades = Array("@%#*+=-:. ")
    private static let nearest = "o", forbidden = "x"

    /// Prints the map.
    func print() { for line in lines { Output.line(line) } }

    /// The lines of the map.
    var lines: [String] {
        let layers = similarity.layers
        let rows = (1..<max(layers, 2)).map { Row($0, self) }
        let run = max(7, rows.map { $0.nearest?.layers.text.count ?? 0 }.max() ?? 0)
        var left = 3 + 2 + run
        let hasDistance = width.map { $0 >= left + 8 + 2 + min(layers, 16) } ?? true
        if hasDistance { left += 2 + 8 }
        let room = max(1, (width ?? .max) - left - 2)
        let cell = room >= 2 * layers ? 2 : 1
        let group = (layers - 1) / room + 1
        var heading = "  n" + "  " + "nearest".padded(run) + (hasDistance ? "  distance" : "") + "  "
        for first in stride(from: 0, to: layers, by: 5 * group) where heading.count + "\(first)".count <= width ?? .max
        {
            heading += "\(first)".padded(5 * cell)
        }
        var lines = legend(group)
        lines.append(trimmed(heading))
        for row in rows {
            var line = "\(row.size)".padded(3, right: true) + "  " + (row.nearest?.layers.text ?? "-").padded(run)
            if hasDistance { line += "  " + (row.nearest?.distance.fixed(4) ?? "").padded(8, right: true) }
            line += "  "
            for first in stride(from: 0, to: row.shares.count, by: group) {
                line += mark(row, first..<min(row.shares.count, first + group), width: cell)
            }
            lines.append(trimmed(line + colours.reset))
        }
        return lines
    }

    /// What the marks mean.
    private func legend(_ group: Int) -> [String] {
        let scale =
            colours == .none
            ? HeatMap.shades.dropLast().map { String($0) }.joined()
            : (0..<10).map { colours.background(Double($0) / 9) + " " }.joined() + colours.reset
        let away = colours.grey + HeatMap.forbidden + colours.reset
        var text =
            "runs of n layers by their first layer; shades compare runs of one size: near scale far, "
            + "\(HeatMap.nearest) nearest, away cannot be cut"
        if group > 1 { text += "; each cell is the best of \(group)" }
        var lines = [""], count = 0
        for word in text.split(separator: " ") {
            // An escape sequence takes no room.
            let (shown, columns) =
                switch word {
                case "scale": (scale, 10)
                case "away": (away, 1)
                default: (String(word), word.count)
                }
            if count > 0, count + 1 + columns > width ?? 80 {
                lines.append("")
                count = 0
            }
            lines[lines.count - 1] += (count > 0 ? " " : "") + shown
            count += (count > 0 ? 1 : 0) + columns
        }
        return lines
    }

    private func mark(_ row: Row, _ firsts: Range<Int>, width: Int) -> String {
        let isNearest = row.nearest.map { firsts.contains($0.layers.lowerBound) } ?? false
        let best = row.shares[firsts].compactMap(\.self).min()
        guard colours == .none else {
            let text = (isNearest ? HeatMap.nearest : best == nil ? HeatMap.forbidden : " ").padded(width)
            return (best.map(colours.background) ?? colours.grey) + colours.white + text
        }
        guard let best else { return HeatMap.forbidden.padded(width) }
        let shade = HeatMap.shades[min(HeatMap.shades.count - 2, Int(best * Double(HeatMap.shades.count - 1)))]
        return (isNearest ? HeatMap.nearest : String(shade)).padded(width)
    }

    private func trimmed(_ line: String) -> String {
        var line = line
        while line.last == " " { line.removeLast() }
        return line
    }

    /// The runs of a size.
    private struct Row {
        let size: Int
        /// The nearest run that may be cut.
        let nearest: LayerRun?
        /// For every first layer the rank of its run among those that may be cut, from 0 to 1; `nil` for the others.
        let shares: [Double?]

        init(_ size: Int, _ map: HeatMap) {
            self.size = size
            let runs = map.similarity.nearestRuns(
                size: size, overAllTokens: map.overAllTokens, includesLast: map.includesLast
            ).filter { map.canBeCut($0.layers) }
            nearest = runs.first
            var shares = [Double?](repeating: nil, count: max(0, map.similarity.layers - size + 1))
            for (rank, run) in runs.enumerated() {
                shares[run.layers.lowerBound] = runs.count > 1 ? Double(rank) / Double(runs.count - 1) : 0
            }
            self.shares = shares
        }
    }
}
