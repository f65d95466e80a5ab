/// The meaning of a tensor's name in an adapter's file.
struct AdapterTensorName: Equatable {
    /// What a tensor is for its module.
    enum Part: Equatable {
        /// The matrices of a module, [rank, inputs] and [outputs, rank].
        case a, b
        /// The matrices of an embedding, [rank, rows] and [columns, rank].
        case embeddingA, embeddingB
        /// The norms of DoRA.
        case magnitude
        /// The bias of the second matrix.
        case bias
        /// Rows of an embedding.
        case tokens
        /// A whole tensor of the base.
        case whole
        /// A whole tensor of a module that has an adapter too. PEFT saves embeddings in this way, whether they changed
        /// or not.
        case wrapped
        /// A copy of the base's values, which a dump of all tensors of a training contains.
        case original
    }

    /// The module in the base; for a whole tensor, the tensor's name there.
    let module: String
    let part: Part
    /// How many adapters for other parameters of the same module PEFT has wrapped around this one.
    let depth: Int
    /// The name of the adapter, when the file states it.
    let adapter: String?

    private static let parts: [String: Part] = [
        "lora_A": .a, "lora_B": .b, "lora_embedding_A": .embeddingA, "lora_embedding_B": .embeddingB,
        "lora_magnitude_vector": .magnitude, "token_adapter": .tokens,
    ]
    /// Modules that training frameworks wrap around a model.
    private static let wrappers: Set<String> = ["_orig_mod", "_fsdp_wrapped_module"]

    /// Reads a name; `nil` when a component begins with `lora_` and is not a known part, or the name is malformed.
    init?(_ name: String) {
        var parts = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        parts.removeAll(where: Self.wrappers.contains)
        if parts.starts(with: ["base_model", "model"]) { parts.removeFirst(2) }
        guard let index = parts.firstIndex(where: { Self.parts[$0] != nil || $0.hasPrefix("lora_") }) else {
            self.init(whole: parts)
            return
        }
        guard var part = Self.parts[parts[index]] else { return nil }
        var before = Array(parts[..<index]), after = Array(parts[(index + 1)...])
        var depth = 0
        while before.last == "base_layer" {
            before.removeLast()
            depth += 1
        }
        switch part {
        case .tokens where after == ["base_layer", "weight"]:
            // The embedding whose rows were trained. PEFT saves it when the vocabulary was resized.
            self.init(module: (before + ["weight"]).joined(separator: "."), part: .wrapped)
            return
        case .tokens:
            guard after.first == "trainable_tokens_delta" else { return nil }
            after.removeFirst()
        case .b where after.last == "bias":
            part = .bias
            after.removeLast()
        case .a, .b:
            guard after.last == "weight" else { return nil }
            after.removeLast()
        default: if after.last == "weight" { after.removeLast() }
        }
        guard after.count < 2, !before.isEmpty else { return nil }
        self.init(module: before.joined(separator: "."), part: part, depth: depth, adapter: after.first)
    }

    private init(module: String, part: Part, depth: Int = 0, adapter: String? = nil) {
        self.module = module
        self.part = part
        self.depth = depth
        self.adapter = adapter
    }

    private init?(whole parts: [String]) {
        var parts = parts
        if let index = parts.firstIndex(of: "original_module") {
            parts.remove(at: index)
            self.init(module: parts.joined(separator: "."), part: .original)
            return
        }
        var name: String?
        if let index = parts.firstIndex(of: "modules_to_save") {
            parts.remove(at: index)
            // A saved adapter has no name here; a dump has one before the tensor's own name.
            if parts.count - index > 1 { name = parts.remove(at: index) }
        }
        let count = parts.count
        parts.removeAll { $0 == "base_layer" }
        guard !parts.isEmpty else { return nil }
        self.init(
            module: parts.joined(separator: "."), part: parts.count < count ? .wrapped : .whole, adapter: name)
    }
}
