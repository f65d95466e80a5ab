public import Checkpoints
internal import Formats
internal import Kernels

/// Adds adapters to the weights of their base.
public struct MergeAdapters: Edit {
    /// How several adapters become one change of a weight, as PEFT's `add_weighted_adapter` has it.
    public enum Combination: String, Sendable, CaseIterable {
        /// The changes are added up, each with its weight.
        case cat
        /// The matrices A and B are each added up, multiplied by the root of the adapter's weight; all ranks must be
        /// the same.
        case linear
    }

    /// An adapter with its weight.
    public struct Weighted: Sendable {
        /// The adapter.
        public let adapter: Adapter
        /// The factor of its change.
        public let weight: Double

        /// An adapter with a weight. A negative weight removes it from a model into which it was merged.
        public init(_ adapter: Adapter, weight: Double = 1) {
            self.adapter = adapter
            self.weight = weight
        }
    }

    /// The adapters, in the order in which they are added.
    public let adapters: [Weighted]
    /// How they are added up.
    public let combination: Combination
    /// How many threads read weights whose columns have trained norms; the result does not depend on it.
    public let threads: Int

    /// A merge.
    public init(
        _ adapters: [Weighted], combination: Combination = .cat, threads: Int = 1
    ) {
        self.adapters = adapters
        self.combination = combination
        self.threads = threads
    }

    /// The base with the adapters added. Sums are in f32. A changed weight keeps its type, or gets the type that the
    /// configuration names if it was quantized. It is rounded once: later edits to other types get the f32 values.
    ///
    /// - Throws: when an adapter does not fit the base.
    public func apply(to base: Checkpoint) throws(CheckpointError) -> Checkpoint { try outcome(of: base).merged }

    /// The result of `apply`, and the base without the changes but with the same tensors. These may differ from the
    /// tensors of `base`, because an adapter may resize the vocabulary or untie the output matrix from the embedding.
    public func outcome(of base: Checkpoint) throws(CheckpointError) -> (merged: Checkpoint, base: Checkpoint) {
        try base.requireModel()
        let plain = try DequantizeFolder(to: .f32).apply(to: base)
        let adapters = try adapters.map { (weighted) throws(CheckpointError) in
            Weighted(try weighted.adapter.fitting(plain), weight: weighted.weight)
        }
        var changes = WeightChanges(plain, adapters: adapters)
        for index in adapters.indices { try changes.add(index) }
        var result = try changes.result(combination, threads: threads), before = changes.base
        for weighted in adapters { result.sources += weighted.adapter.sources }
        try result.restoreTypes(from: base)
        try before.restoreTypes(from: base)
        try result.takeTokenizer(of: self.adapters.map(\.adapter))
        return (result, before)
    }
}

extension Checkpoint {
    /// Gives changed weights the types that they had in the base, or the type that its configuration names if they were
    /// quantized.
    package mutating func restoreTypes(from base: Checkpoint) throws(CheckpointError) {
        let stated = DequantizeFolder.statedType(base) ?? .bf16
        let types = Dictionary(
            base.tensors.map { (ExactString($0.name), $0.dtype) }, uniquingKeysWith: { first, _ in first })
        let tied = TiedOutput(base)
        var widened: [DType] = []
        var growth = 0
        for index in tensors.indices {
            guard tensors[index].dtype == .f32 else { continue }
            let own = types[ExactString(tensors[index].name)]
            // A weight that was trained as a whole is read from the adapter's file.
            if case .computed = tensors[index].recipe {} else if own == nil || own == .f32 { continue }
            // An output matrix that was untied has the type of the embedding.
            let name = tensors[index].name == tied?.output ? tied?.embedding ?? "" : tensors[index].name
            var type = types[ExactString(name)] ?? stated
            // The tensor with the name of the weight holds packed codes.
            if !type.isQuantized, !Codec.encodes(type) { type = stated }
            let quantized = type.isQuantized ? type : nil
            if quantized != nil { type = .bf16 }
            tensors[index] = try tensors[index].recoded(
                as: type, file: path, refusesNonfinite: true, givesSourceValues: true)
            guard let quantized else { continue }
            widened.append(quantized)
            growth += tensors[index].byteCount - (Tensor.byteCount(dtype: quantized, shape: tensors[index].shape) ?? 0)
        }
        guard !widened.isEmpty else { return }
        let names = Set(widened.map(\.name)).sorted().joined(separator: ", ")
        note(
            "\(widened.count) changed weights were \(names); unless --type or a later quantize stores them small again, they are "
                + "BF16 and take \(growth.grouped) bytes more")
        if form == .gguf, let mixture = Mixture.named(DType.bf16.name) {
            metadata["general.file_type"] = .u32(mixture.fileType)
        }
    }
}
