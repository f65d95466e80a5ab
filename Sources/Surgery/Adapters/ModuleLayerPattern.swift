/// Finds the layer of a module in its name, as PEFT does for `layers_to_transform`: the number behind the match of
/// `layers_pattern`, or, without a pattern, the first number with at least two components before it.
package struct ModuleLayerPattern: Sendable {
    private let patterns: [NamePatternProgram]
    /// Whether a match may begin where the name begins, and not only behind a dot.
    private let mayBeginName: Bool

    /// - Throws: `NamePatternError` when a text is not a regular expression, or uses syntax that resect does not know.
    package init(_ texts: [String]) throws(NamePatternError) {
        mayBeginName = !texts.isEmpty
        var patterns: [NamePatternProgram] = []
        for text in texts.isEmpty ? ["[^.]*"] : texts {
            let pattern = try NamePatternProgram(text, dialect: .python)
            // PEFT puts the text into a larger expression without parentheses, so `a|b` does not mean what it seems to.
            guard !pattern.hasOuterAlternatives else {
                throw NamePatternError("has alternatives outside a group")
            }
            patterns.append(pattern)
        }
        self.patterns = patterns
    }

    /// The number of a module's layer; `nil` when its name has none.
    ///
    /// - Throws: `NamePatternError` when the pattern can end before several numbers, so that the order in which Python
    ///   tries them would decide.
    package func layer(of module: String) throws(NamePatternError) -> Int? {
        let name = Name(module)
        for pattern in patterns {
            let matches = name.numbers.flatMap { (number) in starts(of: pattern, before: number, in: name)
            }
            // The text before a match is as short as possible.
            guard let first = matches.map(\.start).min() else { continue }
            let numbers = matches.filter { $0.start == first }.map(\.number)
            guard numbers.count == 1 else {
                throw NamePatternError("matches before several numbers of \(module)")
            }
            return name.value(of: numbers[0])
        }
        return nil
    }

    /// Where the matches start that end before the dot of a number.
    private func starts(
        of pattern: NamePatternProgram, before number: Range<Int>, in name: Name
    ) -> [(start: Int, number: Range<Int>)] {
        let end = number.lowerBound - 1
        return pattern.starts(in: name.symbols, endingAt: end...end).filter { start in
            guard start > 0 else { return mayBeginName }
            return name.symbols[start - 1] == Name.dot
                && !name.symbols[..<start].contains(UInt8(ascii: "\n"))
        }.map { ($0, number) }
    }

    /// A module's name, and the numbers between its dots.
    private struct Name {
        static let dot = UInt8(ascii: ".")
        let symbols: [UInt8]
        let scalars: [Unicode.Scalar]
        private(set) var numbers: [Range<Int>] = []

        init(_ text: String) {
            symbols = NamePatternDialect.pythonSymbols(of: text)
            scalars = Array(text.unicodeScalars)
            let digits = NamePatternDialect.python.digits
            let dots = symbols.indices.filter { symbols[$0] == Name.dot }
            for (left, right) in zip(dots, dots.dropFirst()) where right > left + 1 {
                let range = left + 1..<right
                if symbols[range].allSatisfy(digits.contains) { numbers.append(range) }
            }
        }

        /// The number, `nil` when no layer can have it.
        func value(of range: Range<Int>) -> Int? {
            var result = 0
            for scalar in scalars[range] {
                let (tens, isTooLarge) = result.multipliedReportingOverflow(by: 10)
                guard !isTooLarge, let digit = scalar.properties.numericValue else { return nil }
                let (sum, overflow) = tens.addingReportingOverflow(Int(digit))
                guard !overflow else { return nil }
                result = sum
            }
            return result
        }
    }
}
