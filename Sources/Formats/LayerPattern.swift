/// The names of the layers of one stack: `<prefix><layer>.<suffix>`, numbered from 0.
///
/// The layers of the decoder come first. Modules that predict further tokens (multi-token prediction) may be numbered
/// behind them, under the same prefix.
public struct LayerPattern: Sendable, Hashable {
    /// The text before the number, with the dot.
    public let prefix: String
    /// How many layers have tensors, modules for multi-token prediction included.
    public let count: Int
    /// How many of them, the last ones, are modules for multi-token prediction.
    public let predictorCount: Int

    /// The layers under a prefix.
    ///
    /// - Precondition: at least one layer belongs to the decoder.
    public init(prefix: String, count: Int, predictorCount: Int = 0) {
        precondition(predictorCount >= 0 && predictorCount < max(1, count))
        self.prefix = prefix
        self.count = count
        self.predictorCount = predictorCount
    }

    /// The number of layers of the decoder, without modules for multi-token prediction.
    public var decoderCount: Int { count - predictorCount }

    /// The name of the list of modules: `layers` of `model.layers.`.
    package var listName: Substring { prefix.dropLast().split(separator: ".").last ?? "" }

    /// The layer that a name belongs to; `nil` outside the layers.
    public func layer(of name: String) -> Int? { LayerName(name, prefix: prefix)?.layer }

    /// The part of a name after the layer number: `mlp.up_proj.weight`; `nil` outside the layers.
    package func suffix(of name: String) -> Substring? {
        LayerName(name, prefix: prefix).map { Substring($0.suffix.utf8.dropFirst()) }
    }

    /// The same name for another layer; a name outside the layers stays as it is.
    public func renumber(_ name: String, to layer: Int) -> String {
        LayerName(name, prefix: prefix)?.renumbered(layer) ?? name
    }
}
