internal import Checkpoints
internal import Formats

/// A module of a layer: its name before a cut, and after it.
struct LayerModule {
    let before: String
    /// `nil` when the layer is cut.
    let after: String?

    /// The modules of the layers of a checkpoint. Of many alike, such as experts, the first stands for all.
    static func all(in checkpoint: Checkpoint, _ cut: LayerCut) -> [LayerModule] {
        var result: [LayerModule] = []
        var last = ""
        for tensor in checkpoint.tensors {
            guard let layer = cut.pattern.layer(of: tensor.name), let suffix = cut.pattern.suffix(of: tensor.name),
                let dot = tensor.name.lastIndex(of: "."),
                !suffix.split(separator: ".").contains(where: { Int($0) ?? 0 > 0 })
            else { continue }
            let module = String(tensor.name[..<dot])
            if module == last { continue }
            last = module
            let name = cut.renumbered(layer).map { cut.pattern.renumber(tensor.name, to: $0) }
            result.append(
                LayerModule(before: module, after: name.map { String($0[..<($0.lastIndex(of: ".") ?? $0.endIndex)]) }))
        }
        return result
    }
}

/// A pattern in the settings of a quantizer, to be tried on the names of modules.
struct ModulePatternTrial {
    /// What regular expressions begin with: those of compressed-tensors, and of GPTQ's `dynamic`.
    static let prefixes = ["re:", "-:", "+:"]

    private let text: String
    private let matches: (String) -> Bool?

    init(_ text: String) {
        self.text = text
        if let prefix = ModulePatternTrial.prefixes.first(where: text.hasPrefix) {
            let pattern = try? ModulePattern(String(text.dropFirst(prefix.count)))
            matches = { name in pattern?.matchesStart(of: name) }
        } else if text.contains(where: { #"\()|+^$"#.contains($0) }) {
            let pattern = try? ModulePattern(text)
            matches = { name in pattern?.matchesStart(of: name) }
        } else {
            // Shell patterns, as ModelOpt and others have them, match whole names.
            var expression = ""
            for character in text {
                switch character {
                case "*": expression += ".*"
                case "?": expression += "."
                case ".": expression += #"\."#
                default: expression.append(character)
                }
            }
            let pattern = try? ModulePattern(expression)
            matches = { name in pattern?.matchesAll(of: name) }
        }
    }

    /// Whether a pattern is about the same modules after a cut as this one before it. One that cannot be tried is, unless it
    /// has a number.
    func isSame(as other: ModulePatternTrial?, for modules: [LayerModule]) -> Bool {
        for module in modules {
            guard let after = module.after else { continue }
            guard let was = matches(module.before), let other else {
                if other == nil, matches(module.before) != true { continue }
                return !text.contains { $0.isNumber }
            }
            if other.matches(after) != was { return false }
        }
        return true
    }
}
