internal import Checkpoints
internal import Formats

/// `rank_pattern` or `alpha_pattern` after a cut: values by patterns of the ends of names, of which the first that matches
/// counts.
struct PatternsCut {
    private typealias Rule = (text: String, pattern: ModulePattern, value: JSON)

    private let config: AdapterConfigCut
    private let key: String
    private let names: [AdapterTargetsCut.Module]

    /// - Parameter names: the modules that are left, by the name before and after the cut.
    init(_ config: AdapterConfigCut, key: String, names: [AdapterTargetsCut.Module]) {
        (self.config, self.key, self.names) = (config, key, names)
    }

    /// The patterns that give every module the value that it had.
    ///
    /// - Throws: when a pattern is not understood, so that nothing says which modules it is for.
    func followed(_ patterns: JSONObject) throws(CheckpointError) -> JSONObject {
        let before = try patterns.members.map { (text, value) throws(CheckpointError) in try rule(text, value) }
        var after: [Rule] = []
        for old in before {
            guard let text = renamed(old.text) else { continue }
            let new = try rule(text, old.value)
            // A pattern whose modules are all cut would match nothing, which is an error when it is read.
            let wasUsed = config.modules.contains { old.pattern.matchesEnd(of: $0) }
            if wasUsed, !names.contains(where: { new.pattern.matchesEnd(of: $0.after) }) { continue }
            if !after.contains(where: { $0.text == text }) { after.append(new) }
        }
        if names.allSatisfy({ value(of: $0.before, before) == value(of: $0.after, after) }) {
            return JSONObject(after.map { ($0.text, $0.value) })
        }
        return JSONObject(names.compactMap { name in value(of: name.before, before).map { (name.after, $0) } })
    }

    private func rule(_ text: String, _ value: JSON) throws(CheckpointError) -> Rule {
        do throws(NamePatternError) { return (text, try ModulePattern(text), value) } catch {
            throw config.refused(key, "has the pattern '\(text)', which \(error.problem)")
        }
    }

    private func value(of name: String, _ rules: [Rule]) -> JSON? {
        rules.first { $0.pattern.matchesEnd(of: name) }?.value
    }

    /// A plain name with another layer number; other patterns as they are. `nil` when it names a layer that is cut.
    private func renamed(_ text: String) -> String? {
        let start = text.hasPrefix("^") ? "^" : "", end = text.hasSuffix("$") ? "$" : ""
        var body = String(text.dropFirst(start.count).dropLast(end.count))
        let isEscaped = body.containsBytes(of: "\\.")
        if isEscaped { body = body.split(separator: "\\.", omittingEmptySubsequences: false).joined(separator: ".") }
        let signs = "\\^$*+?()[]{}|"
        guard !body.utf8.contains(where: signs.utf8.contains) else { return text }
        do throws(CheckpointError) {
            guard let entry = try config.entry(body, key) else { return nil }
            if entry == body { return text }
            let parts = entry.split(separator: ".", omittingEmptySubsequences: false)
            return start + parts.joined(separator: isEscaped ? "\\." : ".") + end
        } catch {
            return text
        }
    }
}
