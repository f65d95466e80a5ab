internal import ArgumentParser
internal import Formats

/// A command line that resect does not take.
struct UsageError: Error {
    let message: String
    let hint: String?
    let command: String?

    init(_ message: String, hint: String?, command: String?) {
        (self.message, self.hint, self.command) = (message, hint, command)
    }

    /// An error of the parser or of a validation, in the words of resect.
    ///
    /// - Parameters:
    ///   - command: the command that the command line names.
    ///   - arguments: the command line. The parser reports a missing option before an unknown one.
    init(_ error: any Error, command: String?, arguments: [String]) {
        if let unknown = CommandLineNames.unknownOption(in: arguments, of: command) {
            if command == nil, let later = CommandLineNames.laterCommand(in: arguments) {
                self.init(
                    "unknown option '\(unknown)'", hint: "options stand behind the command: resect \(later) \(unknown)",
                    command: nil)
                return
            }
            let near = NearName.of(unknown, in: CommandLineNames.options(of: command).filter { $0.hasPrefix("--") })
            self.init("unknown option '\(unknown)'", hint: near.map { "did you mean '\($0)'?" }, command: command)
            return
        }
        let text = Resect.message(for: error)
        if let option = UsageError.dashed(text, arguments) {
            self.init(
                "\(UsageError.lowercased(text)): '\(option.value)' reads as an option",
                hint: "\(option.name)=\(option.value) gives it as the value", command: command)
            return
        }
        if let (problem, hint) = UsageError.parted(text, at: ValidationError.hintMark) {
            self.init(UsageError.lowercased(problem), hint: hint, command: command)
            return
        }
        let help = Resect.fullMessage(for: error).split(separator: "\n").first { $0.hasPrefix("Help:  ") }
        if let (problem, names) = UsageError.parted(text, at: ". Please provide one of ") {
            let hint = UsageError.hint(value: UsageError.quoted(problem).first ?? "", among: names)
            self.init(UsageError.lowercased(problem), hint: hint, command: command)
        } else {
            let hint = help.map { String($0.dropFirst("Help:  ".count)) }
            let line = text.split(separator: "\n").joined(separator: " ")
            self.init(UsageError.lowercased(line), hint: hint, command: command)
        }
    }

    /// The option without a value that a message is about, and the word behind it that was meant as one: a negative number.
    private static func dashed(_ text: String, _ arguments: [String]) -> (name: String, value: String)? {
        guard text.hasPrefix("Missing value for "), let option = quoted(text).first?.prefix(while: { $0 != " " }) else {
            return nil
        }
        for (name, value) in zip(arguments, arguments.dropFirst()) where name == option {
            if value.first == "-", value.dropFirst().first?.isNumber == true { return (name, value) }
        }
        return nil
    }

    /// Prints the error, its hint, and how the command is used.
    func say() {
        Output.message(message)
        if let hint { Output.message("hint: \(hint)") }
        let usage = command.map { Resect.usageString(for: CommandLineNames.type(of: $0)) } ?? "resect <command>"
        let page = command.map { "resect help \($0)" } ?? "resect --help"
        Output.message("usage: \(usage); see '\(page)'")
    }

    /// The near value, or all of them.
    private static func hint(value: String, among text: String) -> String {
        var names = quoted(text)
        if names.isEmpty {
            names = text.split(separator: "\n").dropFirst().map { String($0.drop { " -".contains($0) }) }
        }
        let all = names.joined(separator: " ")
        guard let near = NearName.of(value, in: names) else { return "values: \(all)" }
        return "did you mean '\(near)'?" + (names.count <= 8 ? " Values: \(all)" : "")
    }

    private static func parted(_ text: String, at separator: String) -> (String, String)? {
        let parts = text.split(separator: separator, maxSplits: 1)
        return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
    }

    /// The parts of a text between single quotes.
    private static func quoted(_ text: String) -> [String] {
        let parts = text.split(separator: "'", omittingEmptySubsequences: false)
        return parts.indices.filter { $0 % 2 == 1 && $0 < parts.count - 1 }.map { String(parts[$0]) }
    }

    /// The text with a small first letter, unless it starts with an abbreviation.
    private static func lowercased(_ text: String) -> String {
        guard let second = text.dropFirst().first, second.isLowercase || second == " " else { return text }
        return text.prefix(1).lowercased() + text.dropFirst()
    }
}

extension ValidationError {
    /// What separates a hint from the message.
    fileprivate static let hintMark = "\nhint: "

    /// An error with a hint.
    init(_ message: String, hint: String?) { self.init(message + (hint.map { Self.hintMark + $0 } ?? "")) }
}
