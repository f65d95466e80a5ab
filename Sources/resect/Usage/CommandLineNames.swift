internal import ArgumentParser
internal import Formats

/// The command that a command line names.
enum CommandLineNames {
    /// The names of all commands.
    static var commands: [String] { Resect.configuration.subcommands.map { $0._commandName } }

    /// The name of the command: the first argument, or the one after `help`; `nil` without one.
    static func command(in arguments: [String]) -> String? {
        arguments.first { $0 != "help" }.flatMap { commands.contains($0) ? $0 : nil }
    }

    /// The command of this name; the program itself without one.
    static func type(of command: String?) -> any ParsableCommand.Type {
        Resect.configuration.subcommands.first { $0._commandName == command } ?? Resect.self
    }

    /// The options of a command, or of the program itself, with their dashes.
    static func options(of command: String?) -> [String] {
        let help = Resect.helpMessage(for: type(of: command), columns: 1000)
        return help.split(separator: "\n").filter { $0.hasPrefix("  -") }.flatMap { line in
            let names = line.dropFirst(2).split(separator: "  ", maxSplits: 1).first ?? ""
            return names.split { " ,/".contains($0) }.filter { $0.hasPrefix("-") }.map(String.init)
        }
    }

    /// The first word of a command line that looks like an option, and is none of the command; also one with a single dash
    /// that has the name of an option with two.
    static func unknownOption(in arguments: [String], of command: String?) -> String? {
        let known = options(of: command)
        return arguments.prefix { $0 != "--" }.lazy.map { String($0.prefix { $0 != "=" }) }.first { word in
            if word.hasPrefix("--") { return !known.contains(word) }
            let long = "-" + word
            return word.hasPrefix("-") && word.count > 3 && word.dropFirst().allSatisfy { $0.isLetter || $0 == "-" }
                && known.contains { $0 == long || $0 == long + "s" }
        }
    }

    /// A command that stands behind the first word.
    static func laterCommand(in arguments: [String]) -> String? {
        arguments.dropFirst().first(where: commands.contains)
    }

    /// Refuses a word that is not UTF-8: Swift would repair it, and name or generate something else.
    static func checkEncoding() throws(UsageError) {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let word = CommandLine.unsafeArgv[index], String(validatingCString: word) == nil else { continue }
            throw UsageError(
                "argument \(index), '\(String(cString: word))', is not UTF-8 text",
                hint: "rename the file, or convert the text", command: nil)
        }
    }

    /// Refuses a word that should be a command and is none.
    static func check(_ arguments: [String]) throws(UsageError) {
        let word = arguments.first == "help" ? arguments.dropFirst().first : arguments.first
        guard let word, !word.hasPrefix("-"), word != "help", !commands.contains(word) else { return }
        let near = NearName.of(word, in: commands)
        throw UsageError(
            "'\(word)' is not a command of resect",
            hint: near.map { "did you mean '\($0)'?" } ?? "resect --help lists the commands", command: nil)
    }
}
