internal import ArgumentParser
internal import Formats
internal import Surgery
internal import Synchronization

/// The command line of this run in a canonical form: long names in the order of the command's declaration, without what
/// does not decide the bytes of the output.
enum Invocation {
    /// Options that change nothing in the output, or name it. Every other option that is given counts.
    private static let ignored: Set<String> = [
        "output", "format", "force", "resume", "no-sync", "dry-run", "manifest", "provenance", "no-provenance",
        "save-patch",
        "json", "quiet", "threads", "color", "curve", "recipe", "log", "help", "version",
    ]
    private static let current = Mutex<(arguments: [String], options: JSONObject?)>(
        (Array(CommandLine.arguments.dropFirst()), nil))

    /// Runs another command line in this program, for a step of a recipe. Its options are recorded as the recipe has them,
    /// wherever the files that they name were found.
    static func run(_ arguments: [String], for step: Provenance.Step) throws {
        current.withLock { $0 = (arguments, step.options) }
        var command = try Resect.parseAsRoot(arguments)
        try command.run()
    }

    /// The options of a command that decide the bytes, with their values.
    static func options(of command: any ParsableCommand.Type) -> JSONObject {
        let (arguments, given) = current.withLock { $0 }
        let declared = DeclaredOption.all(of: command)
        if let given {
            return canonical(declared) { option in
                given[option].map { $0.array?.compactMap(\.string) ?? [$0.string ?? ""] }
            }
        }
        var values: [String: [String]] = [:]
        var rest = arguments.drop { $0.hasPrefix("-") }.dropFirst()
        while let argument = rest.popFirst() {
            guard argument != "--" else { break }
            guard argument.hasPrefix("-"), argument != "-" else { continue }
            let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            if let option = declared.first(where: { $0.names.contains(parts[0]) }) {
                var value: String?
                if parts.count > 1 {
                    value = parts[1]
                } else if option.takesValue, let next = rest.first, !option.isOptional || !next.hasPrefix("-") {
                    value = next
                    rest = rest.dropFirst()
                }
                values[option.name, default: []].append(value ?? "")
            }
        }
        return canonical(declared) { values[$0] }
    }

    /// Refuses options that have no effect.
    ///
    /// - Parameter reason: what follows the name of the option.
    static func refuse(_ names: [String], of command: any ParsableCommand.Type, _ reason: String) throws {
        let given = options(of: command)
        if let name = names.first(where: { given[$0] != nil }) { throw ValidationError("--\(name) \(reason)") }
    }

    private static func canonical(_ declared: [DeclaredOption], _ values: (String) -> [String]?) -> JSONObject {
        var object = JSONObject()
        for option in declared where !ignored.contains(option.name) {
            guard let given = values(option.name) else { continue }
            if !option.takesValue {
                object[option.name] = .bool(true)
            } else {
                let texts = given.map(withoutFolder)
                object[option.name] = option.isRepeating ? .array(texts.map(JSON.string)) : texts.last.map(JSON.string)
            }
        }
        return object
    }

    /// The options of a command that recipes may have, by their long names, and whether each may have several values.
    static func repeats(of command: any ParsableCommand.Type) -> [String: Bool] {
        let options = DeclaredOption.all(of: command).filter { !ignored.contains($0.name) }
        return Dictionary(options.map { ($0.name, $0.isRepeating) }) { first, _ in first }
    }

    /// A path from the root of this machine has only its last component in the output.
    private static func withoutFolder(_ value: String) -> String {
        value.hasPrefix("/") ? String(value.split(separator: "/").last ?? "") : value
    }
}

/// An option of a command, as its declaration says.
private struct DeclaredOption {
    /// The long name, without dashes.
    let name: String
    /// All names, with dashes.
    let names: [String]
    let takesValue: Bool
    /// Whether the value may be left out.
    let isOptional: Bool
    let isRepeating: Bool

    /// The options of a command in the order of their declaration.
    static func all(of command: any ParsableCommand.Type) -> [DeclaredOption] {
        // Without its options a command would say less about how a model was made than it should.
        guard let description = try? JSON.parse(command._dumpHelp()),
            let arguments = description["command"]?["arguments"]?.array
        else { preconditionFailure("the declaration of \(command._commandName) cannot be read") }
        return arguments.compactMap { argument in
            let names = (argument["names"]?.array ?? []).compactMap { name -> (isLong: Bool, text: String)? in
                name["name"]?.string.map { (name["kind"]?.string == "long", $0) }
            }
            guard let long = names.first(where: \.isLong)?.text, let kind = argument["kind"]?.string else { return nil }
            return DeclaredOption(
                name: long, names: names.map { ($0.isLong ? "--" : "-") + $0.text }, takesValue: kind == "option",
                isOptional: long == "manifest", isRepeating: argument["isRepeating"]?.bool ?? false)
        }
    }
}
