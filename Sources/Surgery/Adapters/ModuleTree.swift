internal import Checkpoints
internal import Formats

/// The modules of a model, from the names of its tensors.
struct ModuleTree {
    /// The indices of the tensors directly in a module, by the module.
    private(set) var tensors: [String: [Int]] = [:]
    /// All modules, including those that only contain other modules.
    private var all: Set<String> = []
    /// How many modules end with given components.
    private var counts: [Substring: Int] = [:]

    init(_ tensors: [Tensor]) { self.init(names: tensors.map(\.name)) }

    /// The modules of tensors with some names.
    init(names: [String]) {
        for (index, name) in names.enumerated() {
            var module = ModuleTree.module(of: name)
            self.tensors[module, default: []].append(index)
            while !module.isEmpty, all.insert(module).inserted { module = ModuleTree.module(of: module) }
        }
        for module in all { for ending in ModuleTree.endings(of: module) { counts[ending, default: 0] += 1 } }
    }

    /// The name before the last dot.
    static func module(of name: String) -> String {
        name.utf8.lastIndex(of: UInt8(ascii: ".")).map { String(name[..<$0]) } ?? ""
    }

    /// Whether a module holds tensors and no other modules.
    func isLeaf(_ module: String) -> Bool {
        !module.isEmpty && tensors[module] != nil && !all.contains { $0.hasPrefix(module + ".") }
    }

    /// The last component, the last two, and so on up to the whole name.
    private static func endings(of module: String) -> [Substring] {
        var result: [Substring] = [], end = module.endIndex
        while let dot = module[..<end].utf8.lastIndex(of: UInt8(ascii: ".")) {
            result.append(module[module.index(after: dot)...])
            end = dot
        }
        return result + [module[...]]
    }

    /// The key of a module in rank_pattern and alpha_pattern. Earlier versions of PEFT need a dot before the match, so
    /// the first component is left out when the rest names only this module.
    func patternKey(_ module: String) -> String {
        let short = ModuleTree.endings(of: module).dropLast().last
        return short.flatMap { counts[$0] == 1 ? String($0) : nil } ?? module
    }

    /// The shortest endings of names by which PEFT selects the given modules and no others, sorted.
    ///
    /// - Parameter anywhere: whether PEFT matches an ending even if it begins in the middle of a component, as in
    ///   `modules_to_save`.
    func endings(naming modules: [String], anywhere: Bool, path: String) throws(CheckpointError) -> [String] {
        let wanted = Set(modules)
        var wantedCounts: [Substring: Int] = [:]
        for module in modules { for ending in ModuleTree.endings(of: module) { wantedCounts[ending, default: 0] += 1 } }
        var fits: [Substring: Bool] = [:], result: Set<String> = []
        for module in modules {
            let found = ModuleTree.endings(of: module).first { ending in
                if let known = fits[ending] { return known }
                var fit = counts[ending, default: 1] == wantedCounts[ending]
                if fit, anywhere { fit = all.allSatisfy { !$0.hasSuffix(ending) || wanted.contains($0) } }
                fits[ending] = fit
                return fit
            }
            guard let found else {
                throw CheckpointError(
                    file: path, "has a module '\(module)' that PEFT cannot name without naming others too")
            }
            result.insert(String(found))
        }
        return result.sorted()
    }
}
