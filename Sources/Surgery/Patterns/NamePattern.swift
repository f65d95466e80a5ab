/// A regular expression that is searched for in the names of tensors, as llama-quantize's --tensor-type does: the part
/// of ECMAScript's that people use. The time of a search is proportional to the length of the name times the length of
/// the pattern.
public struct NamePattern: Sendable {
    /// The pattern in lower case, as it is matched.
    public let text: String
    private let program: NamePatternProgram

    /// A pattern; it is converted to lower case.
    ///
    /// - Throws: `NamePatternError` when it is invalid or uses unsupported syntax.
    public init(_ text: String) throws(NamePatternError) {
        self.text = text.lowercased()
        program = try NamePatternProgram(text, dialect: .ecmaScript)
    }

    /// Whether the pattern matches anywhere in a name.
    public func matches(_ name: String) -> Bool {
        let symbols = Array(name.utf8)
        return !program.starts(in: symbols, endingAt: 0...symbols.count).isEmpty
    }
}

/// Why a text is not a valid pattern: a message without a subject.
public struct NamePatternError: Error, Equatable {
    /// The problem.
    public let problem: String

    init(_ problem: String) { self.problem = problem }
}
