/// A pattern as steps that follow all its possibilities at once, from the end of a name to its start. In this direction
/// a look-ahead costs one pass as well: that pass finds all positions at which it holds.
struct NamePatternProgram: Sendable {
    /// One step.
    enum Instruction: Sendable {
        /// Takes the character before the position, which is of the set.
        case bytes(ByteSet)
        /// Continues at both steps.
        case fork(Int, Int)
        /// Continues at another step.
        case jump(Int)
        /// Continues when an assertion holds at the position.
        case check(NamePatternAssertion)
        /// A match starts at the position.
        case match
    }

    /// The steps of the look-aheads and of the pattern.
    let steps: [Instruction]
    /// The first step of each look-ahead, inner ones before outer ones.
    let aheads: [Int]
    /// The first step of the pattern.
    let first: Int
    /// Whether alternatives stand outside all groups, so that text before and behind the pattern would become part of
    /// them.
    let hasOuterAlternatives: Bool

    /// - Throws: `NamePatternError` when the text is invalid or uses unsupported syntax.
    init(_ text: String, dialect: NamePatternDialect) throws(NamePatternError) {
        var parser = try NamePatternParser(text, dialect: dialect)
        let root = try parser.parse()
        var compiler = NamePatternCompiler()
        var aheads: [Int] = []
        for node in parser.aheads { aheads.append(try compiler.append(program: node)) }
        first = try compiler.append(program: root)
        self.aheads = aheads
        hasOuterAlternatives = parser.hasOuterAlternatives
        steps = compiler.steps
    }

    /// The positions at which a match starts that ends at one of some positions, in falling order.
    func starts(in symbols: [UInt8], endingAt ends: ClosedRange<Int>) -> [Int] {
        var search = NamePatternSearch(steps: steps, symbols: symbols)
        for ahead in aheads {
            var isThere = [Bool](repeating: false, count: symbols.count + 1)
            for start in search.starts(of: ahead, endingAt: 0...symbols.count) { isThere[start] = true }
            search.aheads.append(isThere)
        }
        return search.starts(of: first, endingAt: ends)
    }
}

/// What a pattern can ask of a position without taking a character.
enum NamePatternAssertion: Sendable {
    /// The start or the end of the name.
    case start, end
    /// The end of the name, or before a line end that is its last character.
    case lastLineEnd
    /// A word starts or ends here, or it does not.
    case wordBoundary(Bool)
    /// The look-ahead of this index holds, or it does not.
    case ahead(Int, Bool)
}
