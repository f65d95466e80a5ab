internal import Checkpoints
internal import Healing

/// The loss of a training over its steps, as lines of text: `·` for the steps, `o` for held-out text.
enum LossChart {
    private static let width = 60, height = 12

    /// The lines of the chart; none for a training without two steps.
    static func lines(_ curve: TrainingCurve) -> [String] {
        let steps = curve.steps.map(\.loss), total = steps.count
        guard total > 1 else { return [] }
        let all = steps + curve.heldOut.map(\.loss)
        guard let low = all.min(), let high = all.max(), high > low else { return [] }
        var cells = Array(repeating: Array(repeating: Character(" "), count: width), count: height)
        func mark(_ step: Int, _ loss: Double, _ character: Character) {
            let column = min(width - 1, step * width / total)
            let row = Int(((high - loss) / (high - low) * Double(height - 1)).rounded())
            cells[row][column] = character
        }
        for column in 0..<width {
            // A column with several steps shows their mean.
            let part = column * total / width..<max(column * total / width + 1, (column + 1) * total / width)
            mark(part.lowerBound, steps[part].reduce(0, +) / Double(part.count), "·")
        }
        for measurement in curve.heldOut { mark(measurement.step, measurement.loss, "o") }
        var lines = ["loss over \(total) steps: · training, o held-out text"]
        for (row, line) in cells.enumerated() {
            let label = row == 0 ? high.fixed(4) : row == height - 1 ? low.fixed(4) : ""
            lines.append("\(label.padded(9, right: true)) │\(String(line).trimmingSpaces)")
        }
        lines.append(String(repeating: " ", count: 10) + "└" + String(repeating: "─", count: width))
        return lines
    }
}

extension String {
    /// The text without spaces at its end.
    fileprivate var trimmingSpaces: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
