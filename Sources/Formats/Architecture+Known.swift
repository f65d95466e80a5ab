extension Architecture {
    /// Every known architecture, in registry order.
    public static let all: [Architecture] = {
        var known: [String: JSON] = [:]
        return EmbeddedFiles.parsed(under: "architectures/").map { file in
            do throws(DataFileError) {
                let value = try resolved(file.value, known)
                if let name = value["name"]?.string { known[name] = value }
                return try Architecture(value)
            } catch {
                fatalError("formats/\(file.name): \(error)")
            }
        }
    }()

    /// An architecture file merged with the one that `like` names, member by member.
    package static func resolved(_ value: JSON, _ known: [String: JSON]) throws(DataFileError) -> JSON {
        guard let like = value["like"] else { return value }
        guard let name = like.string, let base = known[name] else {
            throw DataFileError("like", "does not name an earlier architecture")
        }
        var own = value.object ?? JSONObject()
        own["like"] = nil
        return merged(base, .object(own))
    }

    /// Merges two objects recursively. When both have a member and one of the two is no object, the second's value
    /// counts; `null` removes a member.
    private static func merged(_ base: JSON, _ own: JSON) -> JSON {
        guard let own = own.object else { return own }
        var result = base.object ?? JSONObject()
        for (key, value) in own.members {
            result[key] = value == .null ? nil : merged(result[key] ?? .null, value)
        }
        return .object(result)
    }

    /// The architecture of a class named in `config.json`; `nil` when resect does not know it.
    public static func named(class name: String) -> Architecture? {
        all.first { $0.classes.contains(name) }
    }

    /// The architecture of a `model_type` in `config.json`; `nil` when resect does not know it.
    public static func named(modelType name: String) -> Architecture? {
        all.first { $0.modelTypes.contains(name) }
    }

    /// The first architecture with this `general.architecture`; `nil` when resect does not know it.
    public static func named(gguf name: String) -> Architecture? {
        all.first { $0.gguf == name }
    }
}
