// Types of Formats are in the public API, so those who import this module have them too.
@_exported public import Formats

/// A language-model checkpoint: an ordered list of tensors with what is known about them.
///
/// Opening a file gives one whose recipes are byte ranges of mapped files; an edit takes one and
/// returns another. Nothing is read or computed until the writer, or a measurement, asks for rows.
public struct Checkpoint: Sendable {
    /// The path that was opened, as the user named it.
    public var path: String
    /// What the tensors lie in: a folder, a safetensors file, or GGUF, with the configuration and metadata that each has.
    public var container: Container
    /// The tensors, in file order.
    public var tensors: [Tensor]
    /// The description of the architecture; `nil` when nobody has written one.
    public var architecture: Architecture?
    /// The prefix of the stack of layers that was chosen, where a model has several: `model.decoder.layers`.
    public var layerPrefix: String?
    /// Every file that the recipes read, so that an output is never one of its inputs.
    public var sources: [MappedFile]
    /// What the tensors are: a model, or something that goes with one.
    public package(set) var content = Content.model
    /// Whether the tensors come from PyTorch files.
    public internal(set) var isPyTorch = false
    /// How many tensors lay in each of the shards that it was opened from, in order; empty when it was one file.
    public internal(set) var shardTensorCounts: [Int] = []
    /// What edits left out or changed in meaning, one line each: "24 scales of activations are left out". Commands
    /// that write print these lines; `note` adds one.
    public internal(set) var notes: [String] = []

    /// A model; those who open or make something else say so.
    package init(path: String, container: Container, tensors: [Tensor], sources: [MappedFile]) {
        self.path = path
        self.container = container
        self.tensors = tensors
        self.sources = sources
    }

    /// Adds a line that users of this checkpoint have to see, once.
    public mutating func note(_ text: String) {
        if !notes.contains(text) { notes.append(text) }
    }

    /// The tensor of that name.
    public func tensor(named name: String) -> Tensor? {
        let key = ExactString(name)
        return tensors.first { ExactString($0.name) == key }
    }

    /// The numbering of the layers: the stack of tensors whose number the configuration states, or the one that
    /// `layerPrefix` names; `nil` when no tensor has a layer.
    ///
    /// - Throws: when several stacks may be meant, or a layer is missing.
    public func layers() throws(CheckpointError) -> LayerPattern? { try LayerChoice(self).pattern() }

    /// The layers of the language model; of a model with an encoder and a decoder those of both.
    ///
    /// - Throws: when other stacks may be meant too, or a layer is missing.
    package func languageLayers() throws(CheckpointError) -> [LayerPattern] {
        let choice = LayerChoice(self)
        if choice.isEncoderDecoder, case .ambiguous(let stacks) = try choice.outcome() {
            return stacks.map { LayerPattern(prefix: $0.prefix, count: $0.count) }
        }
        return try choice.pattern().map { [$0] } ?? []
    }

    /// The numbering of the layers; `nil` when no tensor has a layer, or it cannot be told which numbers are layers.
    public var layerPattern: LayerPattern? {
        do { return try layers() } catch { return nil }
    }

    /// How many layers the model computes, counted in the names of the tensors; modules for multi-token prediction are none.
    public var layerCount: Int { layerPattern?.decoderCount ?? 0 }

    /// How many elements all tensors have together.
    public var parameterCount: Int { tensors.indices.reduce(0) { $0 + tensors[$1].count } }

    /// The bytes of all tensors together.
    public var byteCount: Int { tensors.indices.reduce(0) { $0 + tensors[$1].byteCount } }

    /// The companion of that name.
    public func companion(_ name: String) -> Companion? { companions.first { $0.name == name } }

    /// The name of the architecture as the file states it; `nil` when it states none.
    public var architectureName: String? {
        metadata["general.architecture"]?.string
            ?? config?["architectures"]?.array?.first?.string ?? config?["model_type"]?.string
    }
}
