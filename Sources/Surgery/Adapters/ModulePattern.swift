/// A regular expression of Python's `re`, with which PEFT matches the names of modules. Syntax that this type does not
/// know, for example a back-reference, is an error. A match takes time in proportion to the length of the name times
/// the length of the pattern.
package struct ModulePattern: Sendable {
    /// The pattern as it is written.
    package let text: String
    private let program: NamePatternProgram

    /// - Throws: `NamePatternError` when the text is not a regular expression, or uses syntax that resect does not
    ///   know.
    package init(_ text: String) throws(NamePatternError) {
        self.text = text
        program = try NamePatternProgram(text, dialect: .python)
    }

    /// Matches the modules that `modules_to_save` names and all modules in them, as `re.match(r"(^|.*\.)name($|\..*)",
    /// module)` does.
    ///
    /// - Throws: `NamePatternError` when the name, which PEFT reads as a regular expression, is not one or uses syntax
    ///   that resect does not know.
    package init(savedModule name: String) throws(NamePatternError) {
        // The name is parsed by itself first, so that messages count its own characters.
        _ = try ModulePattern(name)
        try self.init(#"(?:(^|.*\.)\#(name)($|\..*))[\d\D]*"#)
    }

    /// Whether the pattern matches the whole name, as re.fullmatch does.
    package func matchesAll(of name: String) -> Bool {
        let symbols = NamePatternDialect.pythonSymbols(of: name)
        return program.starts(in: symbols, endingAt: symbols.count...symbols.count).last == 0
    }

    /// Whether the pattern matches the beginning of the name, as re.match does.
    func matchesStart(of name: String) -> Bool {
        let symbols = NamePatternDialect.pythonSymbols(of: name)
        return program.starts(in: symbols, endingAt: 0...symbols.count).last == 0
    }

    /// Whether the pattern matches the name or what follows one of its dots, as `re.match(r"(.*\.)?(pattern)$", name)` does.
    package func matchesEnd(of name: String) -> Bool {
        let symbols = NamePatternDialect.pythonSymbols(of: name)
        let lineEnd = UInt8(ascii: "\n")
        // `$` also holds before a line end that comes last, and `.` matches no line end.
        let firstEnd = symbols.last == lineEnd ? symbols.count - 1 : symbols.count
        return program.starts(in: symbols, endingAt: firstEnd...symbols.count).contains { start in
            start == 0 || symbols[start - 1] == UInt8(ascii: ".") && !symbols[..<start].contains(lineEnd)
        }
    }
}
