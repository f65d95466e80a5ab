// Types of Formats are in the public API, so this module re-exports them.
@_exported public import Formats

/// A language-model checkpoint: an ordered list of tensors with their configuration and metadata.
///
/// After opening, the recipes are byte ranges of mapped files; an edit takes a checkpoint and returns another one.
/// Nothing is read or computed until the writer or a measurement requests rows.
public struct Checkpoint: Sendable {
    /// The path that was opened, as the user named it.
    public var path: String
    /// The container: a folder, a safetensors file, or GGUF, with its configuration and metadata.
    public var container: Container
    /// The tensors, in file order.
    public var tensors: [Tensor]
    /// The description of the architecture; `nil` when resect does not know it.
    public var architecture: Architecture?
    /// The prefix of the chosen stack of layers when a model has several: `model.decoder.layers`.
    public var layerPrefix: String?
    /// Every file that the recipes read, so that an output is never one of its inputs.
    public var sources: [MappedFile]
    /// The kind of contents: a model, or something used with one.
    public package(set) var content = Content.model
    /// Whether the tensors come from PyTorch files.
    public internal(set) var isPyTorch = false
    /// The number of tensors in each shard that it was opened from, in order; empty for a single file.
    public internal(set) var shardTensorCounts: [Int] = []
    /// What edits left out or changed in meaning, one line each: "24 scales of activations are left out". Commands
    /// that write print these lines; `note` adds one.
    public package(set) var notes: [String] = []

    /// A checkpoint whose content is a model; for other contents set `content`.
    package init(path: String, container: Container, tensors: [Tensor], sources: [MappedFile]) {
        self.path = path
        self.container = container
        self.tensors = tensors
        self.sources = sources
    }

    /// Adds a note for the user, unless it exists.
    public mutating func note(_ text: String) {
        if !notes.contains(text) { notes.append(text) }
    }

    /// Throws when one of the files was changed since it was opened: what was read of it may be old, new, or zero.
    public func checkUnchanged() throws(CheckpointError) {
        for source in sources { try source.checkUnchanged() }
    }

    /// The tensor of that name.
    public func tensor(named name: String) -> Tensor? {
        let key = ExactString(name)
        return tensors.first { ExactString($0.name) == key }
    }

    /// The numbering of the layers: the stack of tensors whose layer count the configuration states, or the one that
    /// `layerPrefix` names; `nil` when no tensor has a layer.
    ///
    /// - Throws: when several stacks are possible, or a layer is missing.
    public func layers() throws(CheckpointError) -> LayerPattern? { try LayerChoice(self).pattern() }

    /// The layers of the language model; those of both stacks when it has an encoder and a decoder.
    ///
    /// - Throws: when other stacks are possible too, or a layer is missing.
    package func languageLayers() throws(CheckpointError) -> [LayerPattern] {
        let choice = LayerChoice(self)
        if choice.isEncoderDecoder, case .ambiguous(let stacks) = try choice.outcome() {
            return stacks.map { LayerPattern(prefix: $0.prefix, count: $0.count) }
        }
        return try choice.pattern().map { [$0] } ?? []
    }

    /// The numbering of the layers; `nil` when no tensor has a layer, or it is unclear which numbers are layers.
    public var layerPattern: LayerPattern? {
        do { return try layers() } catch { return nil }
    }

    /// The number of layers by the names of the tensors, without modules for multi-token prediction.
    public var layerCount: Int { layerPattern?.decoderCount ?? 0 }

    /// The number of elements of all tensors.
    public var parameterCount: Int { tensors.indices.reduce(0) { $0 + tensors[$1].count } }

    /// The size of all tensors in bytes.
    public var byteCount: Int { tensors.indices.reduce(0) { $0 + tensors[$1].byteCount } }

    /// The companion of that name.
    public func companion(_ name: String) -> Companion? { companions.first { $0.name == name } }

    /// The architecture name that the file states, if any.
    public var architectureName: String? {
        metadata["general.architecture"]?.string
            ?? config?["architectures"]?.array?.first?.string ?? config?["model_type"]?.string
    }
}
