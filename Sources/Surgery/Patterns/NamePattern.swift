/// A regular expression that is searched for in the names of tensors, as llama-quantize's --tensor-type does: the part of
/// ECMAScript's that people use. The time of a search is proportional to the length of the name times the length of the pattern.
public struct NamePattern: Sendable {
    /// The pattern in small letters, which is how it is looked for.
    public let text: String
    private let program: NamePatternProgram

    /// A pattern, in any case: it is looked for in small letters.
    ///
    /// - Throws: `NamePatternError` when it is no expression, or one of a kind that is not understood.
    public init(_ text: String) throws(NamePatternError) {
        self.text = text.lowercased()
        program = try NamePatternProgram(text, dialect: .ecmaScript)
    }

    /// Whether the pattern is somewhere in a name.
    public func matches(_ name: String) -> Bool {
        let symbols = Array(name.utf8)
        return !program.starts(in: symbols, endingAt: 0...symbols.count).isEmpty
    }
}

/// Why a text is no pattern: a message without a subject.
public struct NamePatternError: Error, Equatable {
    /// The problem, in words.
    public let problem: String

    init(_ problem: String) { self.problem = problem }
}
