/// Finds the name that was meant where one is misspelt.
package enum NearName {
    /// The nearest of some names, ignoring case, `-` and `_`; `nil` when none is near.
    package static func of(_ name: String, in names: [String]) -> String? {
        let wanted = folded(name)
        guard wanted.count > 1 else { return nil }
        // An abbreviation that fits one name only.
        let longer = names.filter { wanted.count > 2 && folded($0).starts(with: wanted) }
        if longer.count == 1 { return longer[0] }
        var best: (name: String, distance: Int)?
        for candidate in names {
            let found = distance(wanted, folded(candidate))
            if found <= limit(wanted.count), found < best?.distance ?? Int.max { best = (candidate, found) }
        }
        return best?.name
    }

    /// Changes that are allowed in a name of so many characters.
    private static func limit(_ count: Int) -> Int { count < 4 ? 1 : count < 8 ? 2 : 3 }

    private static func folded(_ name: String) -> [UInt8] {
        name.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }
    }

    /// The edit distance: insertions, deletions, changes and swaps of neighbours.
    package static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        guard a.count <= 2 * b.count else { return a.count }
        var table = Array(repeating: Array(repeating: 0, count: b.count + 1), count: a.count + 1)
        for i in 0...a.count { table[i][0] = i }
        for j in 0...b.count { table[0][j] = j }
        for i in 0..<a.count {
            for j in 0..<b.count {
                var best = min(table[i][j + 1] + 1, table[i + 1][j] + 1, table[i][j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, table[i - 1][j - 1] + 1) }
                table[i + 1][j + 1] = best
            }
        }
        return table[a.count][b.count]
    }
}
