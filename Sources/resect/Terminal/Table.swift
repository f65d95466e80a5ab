/// A text table: the first column is left-aligned, the others right-aligned.
struct Table {
    private var rows: [[String]]

    init(_ heading: [String]) { rows = [heading] }

    mutating func add(_ row: [String]) { rows.append(row) }

    /// Prints the table.
    func print() {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        for row in rows {
            let cells = row.enumerated().map { $1.padded(widths[$0], right: $0 > 0) }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            Output.line(line)
        }
    }

    /// Prints the table at once: before slow steps and before output on the other stream.
    func show() {
        print()
        Output.flush()
    }
}
