public import Checkpoints

/// Tells which runs of layers of a model can be cut. What does not depend on the run is found once for all of them.
public struct CutCheck {
    private let whole: WholeModel

    /// A check of a model's cuts.
    ///
    /// - Throws: for an adapter, a projector or an importance matrix.
    public init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        try checkpoint.requireModel()
        whole = WholeModel(checkpoint)
    }

    /// Whether `CutLayers` makes a model without these layers.
    public func allows(_ layers: Range<Int>) -> Bool { (try? CutLayers(layers: layers).apply(to: whole)) != nil }
}

/// A model before a cut, with what every cut of it asks for.
final class WholeModel {
    let checkpoint: Checkpoint
    /// The error of a tensor that is missing; for a folder of unknown names there is none.
    private(set) lazy var completeness = Result { () throws(CheckpointError) in
        if checkpoint.hasKnownNames { try checkpoint.checkCompleteness() }
    }
    /// The plan of the layers; `nil` when the model is not run or its settings cannot be read.
    private(set) lazy var plan = checkpoint.architecture?.layer == nil ? nil : try? ModelPlan(checkpoint)
    private var knownSignatures: LayerSignatures?

    init(_ checkpoint: Checkpoint) { self.checkpoint = checkpoint }

    /// The modules of every layer.
    func signatures(_ pattern: LayerPattern) -> LayerSignatures {
        if let knownSignatures { return knownSignatures }
        let signatures = LayerSignatures(checkpoint, pattern)
        knownSignatures = signatures
        return signatures
    }
}
