public import Checkpoints
public import Formats
internal import Weights

/// Moves an adapter between PEFT's folders and llama.cpp's GGUF files: names, row orders and scales.
public struct ConvertAdapter: Edit {
    /// The form of the result.
    public let form: Checkpoint.Form
    /// The model that the adapter is for, in either container: an adapter does not state its architecture.
    public let base: Checkpoint
    /// The type of the matrices; `nil` keeps them.
    public let dtype: DType?
    /// Whether finite values may become infinite in the type.
    public let allowsNonfinite: Bool

    /// A conversion.
    ///
    /// - Parameters:
    ///   - form: the form of the result, a folder or GGUF.
    ///   - base: the model that the adapter is for, in either container.
    ///   - dtype: the type of the matrices; `nil` keeps theirs.
    ///   - allowsNonfinite: whether finite values may become infinite in the type.
    public init(to form: Checkpoint.Form, base: Checkpoint, dtype: DType? = nil, allowsNonfinite: Bool = false) {
        self.form = form
        self.base = base
        self.dtype = dtype
        self.allowsNonfinite = allowsNonfinite
    }

    /// An adapter in the other form.
    ///
    /// - Throws: for changes that the form cannot store, and when the adapter does not fit its base.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        let adapter = checkpoint.form == .gguf ? try Adapter(gguf: checkpoint) : try Adapter(path: checkpoint.path)
        if case .mlx = adapter.naming {
            throw CheckpointError(
                file: checkpoint.path, "is an adapter of mlx-lm, which resect merges and does not convert",
                hint: "merge it into its base, and convert the result")
        }
        switch (checkpoint.form, form) {
        case (.folder, .gguf): return try gguf(adapter, checkpoint)
        case (.gguf, .folder): return try folder(adapter, checkpoint)
        default:
            throw CheckpointError(
                file: checkpoint.path,
                "is an adapter, which is converted from a folder to GGUF and from GGUF to a folder",
                hint: "the name of the output says which: x.gguf, or a folder")
        }
    }

    private func gguf(_ adapter: Adapter, _ checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try checkFit(adapter, form: "GGUF", allowsTied: false)
        let plain = try DequantizeFolder(to: .f32).apply(to: base)
        let translated = try adapter.withExpertsTogether(plain).translated(toGGUF: true, plain)
        guard case .gguf(let architecture) = translated.naming else { preconditionFailure("translated to GGUF") }
        let alpha = SharedAlpha(translated.pairs.map { ($0.scale, $0.b.rowLength) })
        var tensors: [Tensor] = []
        for (pair, factor) in zip(translated.pairs, alpha.factors) {
            // For an embedding, runtimes look up rows in A.
            tensors.append(
                try stored(pair.isEmbedding ? pair.a.transposed() : pair.a, pair.module + ".weight.lora_a", adapter))
            let b = factor.map(pair.b.multiplied) ?? pair.b
            tensors.append(try stored(b, pair.module + ".weight.lora_b", adapter))
        }
        var metadata = GGUFMetadata()
        metadata["general.architecture"] = .string(architecture)
        metadata["general.type"] = .string("adapter")
        metadata["adapter.type"] = .string("lora")
        metadata["general.name"] = .string(adapter.path.lastPathComponent)
        if let name = adapter.baseName {
            metadata["general.base_model.count"] = .u32(1)
            metadata["general.base_model.0.name"] = .string(name)
        }
        metadata["adapter.lora.alpha"] = .f32(alpha.value)
        metadata["general.quantization_version"] = .u32(2)
        var result = checkpoint
        result.container = .gguf(metadata)
        result.tensors = tensors
        let count = alpha.factors.count { $0 != nil }
        if count > 0 {
            result.note(
                "GGUF has one alpha for all weights, so B of \(count) of \(alpha.factors.count) is multiplied with what "
                    + "their scale differs by")
        }
        return result
    }

    private func folder(_ adapter: Adapter, _ checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        try checkFit(adapter, form: "a folder", allowsTied: true)
        var named = try DequantizeFolder(to: .f32).apply(to: base)
        let translated = try adapter.translated(toGGUF: false, named)
        if base.form == .gguf { named.tensors = try TensorTranslation(base).result() }
        let modules = BaseModules(named), experts = ExpertLayout(modules)
        let sorted = try experts.stacks(of: translated.pairs, modules, path: adapter.path)
        // PEFT has no name for stacks of mlx-lm.
        if let pair = sorted.others.first(where: { $0.a.shape.count > 2 }) {
            throw CheckpointError(
                file: adapter.path, tensor: pair.a.name,
                "is for \(pair.module), a stack of mlx-lm, and an adapter in a folder is for the modules of transformers",
                hint: "name the model as transformers has it with --base")
        }
        var folder = AdapterFolder()
        folder.stacks = sorted.stacks
        folder.expertParameters = experts.names(modules)
        folder.pairs = try sorted.others.map { (pair) throws(CheckpointError) in
            AdapterFolder.Pair(
                module: modules.adapterName(of: pair.module), a: pair.a, b: pair.b, scale: pair.scale,
                isEmbedding: pair.isEmbedding)
        }
        folder.baseName = adapter.baseName ?? base.path
        folder.sources = checkpoint.sources
        let names = named.tensors.map { modules.adapterName(of: $0.name) }
        var result = try folder.checkpoint(path: checkpoint.path, modules: ModuleTree(names: names))
        for index in result.tensors.indices {
            result.tensors[index] = try stored(result.tensors[index], result.tensors[index].name, adapter)
        }
        return result
    }

    /// A matrix with its name in the result, and in the requested type.
    private func stored(_ tensor: Tensor, _ name: String, _ adapter: Adapter) throws(CheckpointError) -> Tensor {
        var result = tensor
        result.name = name
        let own: DType = tensor.dtype.isQuantized || tensor.dtype.name == "F64" ? .f32 : tensor.dtype
        return try result.recoded(as: dtype ?? own, file: adapter.path, refusesNonfinite: !allowsNonfinite)
    }

    /// Checks an adapter against its base as a merge does, and refuses changes that are not plain products.
    private func checkFit(_ adapter: Adapter, form: String, allowsTied: Bool) throws(CheckpointError) {
        try base.requireModel()
        let plain = try DequantizeFolder(to: .f32).apply(to: base)
        var changes = WeightChanges(plain, adapters: [.init(try adapter.fitting(plain))])
        try changes.add(0)
        guard !changes.replacesInBase else {
            throw CheckpointError(
                file: adapter.path,
                "holds another embedding than \(base.path), which an adapter in \(form) cannot hold",
                hint: "merge it into its base, and convert the result")
        }
        for tensor in plain.tensors {
            guard let change = changes.changes[ExactString(tensor.name)] else { continue }
            var kind: String?
            if change.replacement != nil { kind = "a tensor that was trained as a whole" }
            if change.rows != nil { kind = "trained rows of an embedding ('trainable_token_indices')" }
            if !change.added.isEmpty { kind = "a change of a bias ('lora_bias')" }
            if change.products.contains(where: { $0.magnitude != nil }) { kind = "trained norms (DoRA)" }
            guard let kind else { continue }
            throw CheckpointError(
                file: adapter.path, tensor: tensor.name, "has \(kind), which an adapter in \(form) cannot hold",
                hint: "merge it into its base, and convert the result")
        }
        guard changes.base.tensors.count == plain.tensors.count || allowsTied else {
            throw CheckpointError(
                file: adapter.path,
                "changes the embedding or the output matrix alone, which are one tensor in \(base.path); llama.cpp has no "
                    + "adapter for only one of them",
                hint: "merge it into its base, and convert the result")
        }
    }
}
