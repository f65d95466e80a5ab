/// A search in one name.
struct NamePatternSearch {
    private let steps: [NamePatternProgram.Instruction]
    private let symbols: [UInt8]
    /// Where each look-ahead holds.
    var aheads: [[Bool]] = []

    /// The steps that wait for a character.
    private var waiting: [Int] = []
    /// Whether a match starts at the position.
    private var hasMatch = false
    /// The position for which a step was last added. Programs share no steps.
    private var added: [Int]
    private var pending: [Int] = []

    init(steps: [NamePatternProgram.Instruction], symbols: [UInt8]) {
        self.steps = steps
        self.symbols = symbols
        added = Array(repeating: -1, count: steps.count)
    }

    /// The positions at which a match starts that ends at one of some positions, in falling order.
    mutating func starts(of program: Int, endingAt ends: ClosedRange<Int>) -> [Int] {
        var result: [Int] = []
        var position = ends.upperBound
        waiting.removeAll(keepingCapacity: true)
        while true {
            if ends.contains(position) { add(program, at: position) }
            if hasMatch { result.append(position) }
            hasMatch = false
            guard position > 0, !waiting.isEmpty || position > ends.lowerBound else { return result }
            position -= 1
            let symbol = symbols[position]
            let current = waiting
            waiting.removeAll(keepingCapacity: true)
            for step in current {
                if case .bytes(let set) = steps[step], set.contains(symbol) { add(step + 1, at: position) }
            }
        }
    }

    /// Adds a step, and those that are reached from it without a character.
    private mutating func add(_ step: Int, at position: Int) {
        pending.append(step)
        while let step = pending.popLast() {
            guard added[step] != position else { continue }
            added[step] = position
            switch steps[step] {
            case .bytes: waiting.append(step)
            case .fork(let a, let b):
                pending.append(a)
                pending.append(b)
            case .jump(let step): pending.append(step)
            case .check(let assertion): if holds(assertion, at: position) { pending.append(step + 1) }
            case .match: hasMatch = true
            }
        }
    }

    private func holds(_ assertion: NamePatternAssertion, at position: Int) -> Bool {
        switch assertion {
        case .start: position == 0
        case .end: position == symbols.count
        case .lastLineEnd:
            position == symbols.count
                || position == symbols.count - 1 && symbols[position] == UInt8(ascii: "\n")
        case .wordBoundary(let isWanted):
            (isWord(before: position) != isWord(before: position + 1)) == isWanted
        case .ahead(let index, let isWanted): aheads[index][position] == isWanted
        }
    }

    private func isWord(before position: Int) -> Bool {
        guard position > 0, position <= symbols.count else { return false }
        return NamePatternSearch.wordCharacters.contains(symbols[position - 1])
    }

    private static let wordCharacters = NamePatternDialect.python.wordCharacters
}
