internal import ArgumentParser

/// The help of a command: what it does and an example first, then its own options before those of all commands.
enum HelpText {
    /// What a request for help, for the version or for completions prints.
    static func text(for request: any Error, command: String?) -> String {
        let text = Resect.fullMessage(for: request)
        return text.hasPrefix(overview) ? styled(text, command: command) : text
    }

    /// What `resect` prints without arguments.
    static var short: String {
        let main = Resect.mainCommands.map { "  \($0._commandName.padded(10))\($0.configuration.abstract)" }
        return """
            \(Resect.configuration.abstract)

              $ \(CommandExamples.example(of: nil) ?? "")

            \(main.joined(separator: "\n"))

            'resect --help' lists all commands, 'resect help shrink' explains one.
            """
    }

    private static let overview = "OVERVIEW: "

    private static func styled(_ text: String, command: String?) -> String {
        var parts = text.dropFirst(overview.count).split(separator: "\n\n", omittingEmptySubsequences: false)
            .map(String.init)
        if let example = CommandExamples.example(of: command) { parts.insert("  $ \(example)", at: 1) }
        for (index, part) in parts.enumerated() where part.hasPrefix("USAGE: ") {
            parts[index] = wrapped(part).replacing("<subcommand>", with: "<command>")
        }
        parts = parts.map { $0.replacing(" SUBCOMMANDS:\n", with: ":\n").replacing("<subcommand>", with: "<command>") }
        return ordered(parts).joined(separator: "\n\n")
    }

    /// Puts the options of the command itself behind its arguments, and --version and --help last.
    private static func ordered(_ parts: [String]) -> [String] {
        var parts = parts
        guard let own = parts.firstIndex(where: { $0.hasPrefix("OPTIONS:\n") }),
            let general = parts.firstIndex(where: { $0.hasPrefix("GENERAL:\n") }), general < own,
            let first = parts.firstIndex(where: { isSection($0) && !$0.hasPrefix("ARGUMENTS:") })
        else { return parts }
        var lines = parts.remove(at: own).split(separator: "\n").map(String.init)
        let last = lines.firstIndex { $0.hasPrefix("  --version") } ?? lines.count
        parts[general] += "\n" + lines[last...].joined(separator: "\n")
        lines.removeSubrange(last...)
        if lines.count > 1 { parts.insert(lines.joined(separator: "\n"), at: first) }
        return parts
    }

    /// Whether a part is a heading in capitals with a list.
    private static func isSection(_ part: String) -> Bool {
        guard let heading = part.split(separator: "\n").first, heading.last == ":" else { return false }
        return !heading.contains { $0.isLowercase }
    }

    /// A synopsis in lines that fit the terminal, broken between options.
    private static func wrapped(_ synopsis: String) -> String {
        let width = Terminal.textWidth
        var (lines, line) = ([String](), "")
        // A bracket with blanks inside stays in one piece.
        var word = ""
        for piece in synopsis.split(separator: " ") {
            word += (word.isEmpty ? "" : " ") + piece
            if word.hasPrefix("["), !word.hasSuffix("]") { continue }
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = "       " + word
            } else {
                line += (line.isEmpty ? "" : " ") + word
            }
            word = ""
        }
        return (lines + [line]).joined(separator: "\n")
    }
}
