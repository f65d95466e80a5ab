/// The meaning of module names in HF checkpoints of any family, from `formats/modules.json`.
///
/// Quantizers treat a matrix according to its module. The roles of a known architecture take precedence.
package struct ModuleKinds: Sendable {
    /// Projections that runtimes put together, so that they share one scale.
    package let fused: [[String]]
    /// Modules that look up the embedding of a token.
    package let embeddings: [String]
    /// Modules that make logits; the first is the usual one.
    package let outputs: [String]
    /// Modules that choose experts.
    package let routers: [String]
    /// Name parts of modules that are not linear layers: norms and embeddings of layers.
    package let small: [String]

    /// The one table.
    package static let known: ModuleKinds = {
        do throws(DataFileError) {
            return try ModuleKinds(EmbeddedFiles.parsed(under: "modules.json").first?.value ?? .null)
        } catch {
            fatalError("formats/modules.json: \(error)")
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

    /// Whether the name of a module, or its last components, is one of the names.
    package static func isNamed(_ module: String, _ names: [String]) -> Bool {
        names.contains { module == $0 || module.hasSuffix("." + $0) }
    }

    /// The modules that a runtime fuses with one; only itself when there are none.
    package func together(with module: String) -> [String] {
        for names in fused {
            for name in names where module.hasSuffix("." + name) {
                return names.map { module.dropLast(name.count) + $0 }
            }
        }
        return [module]
    }
}
