/// What the names of modules in HF checkpoints say, whatever the family: the data of `formats/modules.json`.
///
/// Quantizers treat a matrix by its module. Where the architecture is described, its roles come first.
package struct ModuleKinds: Sendable {
    /// Projections that runtimes put together, so that they share one scale.
    package let fused: [[String]]
    /// Modules that look up the embedding of a token.
    package let embeddings: [String]
    /// Modules that make logits; the first is the usual one.
    package let outputs: [String]
    /// Modules that choose experts.
    package let routers: [String]
    /// Texts in the names of modules whose matrices are no Linears: norms and embeddings of layers.
    package let small: [String]

    /// The one table.
    package static let known: ModuleKinds = {
        do throws(DataFileError) {
            return try ModuleKinds(EmbeddedFiles.parsed(under: "modules.json").first?.value ?? .null)
        } catch {
            preconditionFailure("formats/modules.json: \(error)")
        }
    }()

    /// Reads the file.
    ///
    /// - Throws: for a member that is missing, or not known.
    package init(_ value: JSON) throws(DataFileError) {
        var reader = try MemberReader(value, "")
        fused = try reader.required("fused").array?.map { ($0.array ?? []).compactMap(\.string) } ?? []
        embeddings = try reader.strings("embeddings")
        outputs = try reader.strings("outputs")
        routers = try reader.strings("routers")
        small = try reader.strings("small")
        try reader.finish()
        guard !outputs.isEmpty, fused.allSatisfy({ $0.count > 1 }) else {
            throw DataFileError("outputs", "is empty, or a member of 'fused' has one name")
        }
    }

    /// Whether a module has one of the names, alone or behind a dot.
    package static func isNamed(_ module: String, _ names: [String]) -> Bool {
        names.contains { module == $0 || module.hasSuffix("." + $0) }
    }

    /// The modules that a runtime puts together with one; itself alone where there are none.
    package func together(with module: String) -> [String] {
        for names in fused {
            for name in names where module.hasSuffix("." + name) {
                return names.map { module.dropLast(name.count) + $0 }
            }
        }
        return [module]
    }
}
