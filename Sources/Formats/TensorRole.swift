/// A tensor by its role in the model, with its stored part in each container.
package struct TensorRole: Sendable, Equatable {
    /// What the tensor is: `attention_q`, `ffn_down`, …
    package let role: String
    /// The shape of the role, row-major, outermost first.
    package let shape: [Extent]
    /// When a model has it.
    package let need: Need
    /// Where an HF checkpoint has it; `nil` where it is a setting there.
    package private(set) var huggingFace: TensorPart?
    /// Where other HF checkpoints have it: fused with another role, or with all experts in one tensor.
    package let huggingFaceAlternatives: [TensorPart]
    /// Where a GGUF file has it; `nil` where it has none.
    package let gguf: TensorPart?

    /// When a model has a tensor.
    package enum Need: Sendable, Equatable {
        /// Always.
        case always
        /// Required when all flags hold, in its layer where they differ from layer to layer; otherwise optional.
        case setting([SettingFlag])
        /// Required unless all flags hold, otherwise optional.
        case unless([SettingFlag])
        /// It may be there, and nothing depends on it.
        case optional
    }

    /// Reads the entry of a role.
    init(_ role: String, _ value: JSON, prefixes: [String]) throws(DataFileError) {
        var reader = try MemberReader(value, "tensors.\(role)")
        self.role = role
        guard let shape = try reader.required("shape").array else { throw reader.wrong("shape", "is not a list") }
        self.shape = try shape.map { (extent) throws(DataFileError) in try Extent(extent, reader.path("shape")) }
        let places = try reader.optional("hf").map { (value) throws(DataFileError) in
            try TensorRole.places(value, reader.path("hf"), prefixes)
        }
        huggingFace = places?.first
        huggingFaceAlternatives = Array(places?.dropFirst() ?? [])
        gguf = try reader.optional("gguf").map { (part) throws(DataFileError) in
            try TensorPart(part, reader.path("gguf"), prefixes: [])
        }
        let (when, unless) = (try reader.strings("if"), try reader.strings("unless"))
        switch (try reader.flag("optional"), when.isEmpty, unless.isEmpty) {
        case (true, true, true): need = .optional
        case (false, false, true): need = .setting(when.map(SettingFlag.init))
        case (false, true, false): need = .unless(unless.map(SettingFlag.init))
        case (false, true, true): need = .always
        default: throw reader.wrong("optional", "'if' and 'unless' exclude each other")
        }
        try reader.finish()
        let parts = [huggingFace, gguf].compactMap { $0 } + huggingFaceAlternatives
        guard let first = parts.first, parts.allSatisfy({ $0.isPerLayer == first.isPerLayer }) else {
            throw DataFileError("tensors.\(role)", "has no name, or a layer in only one of its names")
        }
    }

    /// The places in a folder. All texts of a list are names of one place; every object is another place.
    private static func places(
        _ value: JSON, _ name: String, _ prefixes: [String]
    ) throws(DataFileError) -> [TensorPart] {
        guard let list = value.array, list.contains(where: { $0.object != nil }) else {
            return [try TensorPart(value, name, prefixes: prefixes)]
        }
        let names = list.filter { $0.object == nil }
        return try ([.array(names)] + list.filter { $0.object != nil }).map { (place) throws(DataFileError) in
            try TensorPart(place, name, prefixes: prefixes)
        }
    }

    /// The role with the first of its places in a folder for which `hasTensor` holds; unchanged when it holds for none.
    func placed(where hasTensor: (NameTemplate) -> Bool) -> TensorRole {
        guard !huggingFaceAlternatives.isEmpty, let own = huggingFace else { return self }
        var result = self
        let found = ([own] + huggingFaceAlternatives).first { $0.names.contains(where: hasTensor) }
        result.huggingFace = found ?? own
        return result
    }

    /// Whether every layer has its own.
    package var isPerLayer: Bool { (huggingFace ?? gguf)?.isPerLayer ?? false }

    /// The required setting roles.
    package var roles: [String] {
        var result = shape.flatMap(\.roles) + (huggingFace?.roles ?? []) + (gguf?.roles ?? [])
        result += huggingFaceAlternatives.flatMap(\.roles)
        switch need {
        case .setting(let flags), .unless(let flags): result += flags.map(\.role)
        case .always, .optional: break
        }
        return result
    }
}

extension TensorPart {
    /// Whether the name has a placeholder for the layer.
    package var isPerLayer: Bool { names.first?.isPerLayer ?? false }

    /// Whether the name has a placeholder for the expert: every expert has a tensor of its own, and the role is all of
    /// them behind each other.
    package var isPerExpert: Bool { names.first?.isPerExpert ?? false }

    /// The name that is written.
    package func name(layer: Int?, expert: Int = 0) -> String { names.first?.name(layer: layer, expert: expert) ?? "" }

    /// The result for a whole name: another role, this role, or this role in a layer.
    package func match(_ name: String) -> NameTemplate.Match {
        for index in names.indices {
            let match = names[index].match(name)
            if match != .none { return match }
        }
        return .none
    }
}
