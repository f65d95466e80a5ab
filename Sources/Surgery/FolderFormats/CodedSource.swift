internal import Checkpoints
internal import Formats
internal import Parallel

/// The weights of a folder that is packed already, and what their scales and offsets allow.
struct CodedSource: Sendable {
    /// The weights, each by the name that it has when it is plain; none when the folder is not packed.
    let weights: [ExactString: any CodedWeight]
    private let facts: [ExactString: LevelFacts]

    /// Reads the scales of all weights of four-bit codes.
    init(_ checkpoint: Checkpoint, threads: Int) throws(CheckpointError) {
        weights = try QuantFormats.form(of: checkpoint)?.weights(of: checkpoint) ?? [:]
        let grouped = weights.compactMap { name, weight -> (ExactString, any GroupedWeight)? in
            guard let weight = weight as? any GroupedWeight, weight.layout.bits == 4,
                weight.layout.groupOfColumn == nil
            else { return nil }
            return (name, weight)
        }
        let found = try Parallel.map(grouped.count, workers: threads) { (index, _) throws(CheckpointError) in
            try LevelFacts(grouped[index].1)
        }
        facts = Dictionary(uniqueKeysWithValues: zip(grouped.map(\.0), found))
    }

    /// Whether all offsets are the middle; `nil` when nothing is packed in four-bit codes.
    var isSymmetric: Bool? { facts.isEmpty ? nil : facts.values.allSatisfy { $0.offsets == 8...8 } }

    /// The group that all weights have.
    var groupSize: Int? {
        let sizes = Set(facts.keys.compactMap { (weights[$0] as? any GroupedWeight)?.layout.groupSize })
        return sizes.count == 1 ? sizes.first : nil
    }

    /// The weight with its codes for another form; `nil` when that cannot say what they mean.
    func regrouped(_ name: String, for target: any GroupedTarget, modelType: DType) -> RegroupedWeight? {
        let key = ExactString(name)
        guard let facts = facts[key], let weight = weights[key] as? any GroupedWeight,
            weight.layout.groupSize % target.groupSize == 0
        else { return nil }
        let hasBias = target.offsets == nil
        if let allowed = target.offsets {
            guard let found = facts.offsets, allowed.contains(found.lowerBound), allowed.contains(found.upperBound)
            else { return nil }
        }
        let held = hasBias ? facts.biasTypes : facts.scaleTypes
        // The model's own type is the one that a runtime wants; the source's holds what it held there.
        let types = [modelType, weight.layout.scaleType].filter(target.scaleTypes.contains) + target.scaleTypes
        guard let type = types.first(where: held.contains) else { return nil }
        return RegroupedWeight(weight, groupSize: target.groupSize, scaleType: type, hasBias: hasBias)
    }
}
