internal import Checkpoints
internal import Formats
internal import Parallel

/// The quantized weights of a folder, and which other formats can store their scales and zero points.
struct CodedSource: Sendable {
    /// The weights by the name of the dequantized tensor; empty when the folder is not quantized.
    let weights: [ExactString: any CodedWeight]
    /// The name of their format, for messages; empty when the folder is not quantized.
    let format: String
    private let facts: [ExactString: ScaleFacts]

    /// Reads the scales of all weights with four-bit codes.
    init(_ checkpoint: Checkpoint, threads: Int) throws(CheckpointError) {
        let format = try QuantFormats.format(of: checkpoint)
        self.format = format?.name ?? ""
        weights = try format?.weights(of: checkpoint) ?? [:]
        let grouped = weights.compactMap { name, weight -> (ExactString, any GroupedWeight)? in
            guard let weight = weight as? any GroupedWeight, weight.layout.bits == 4,
                weight.layout.groupOfColumn == nil
            else { return nil }
            return (name, weight)
        }
        let found = try Parallel.map(grouped.count, workers: threads) { (index, _) throws(CheckpointError) in
            try ScaleFacts(grouped[index].1)
        }
        facts = Dictionary(uniqueKeysWithValues: zip(grouped.map(\.0), found))
    }

    /// Whether all zero points are 8, the middle; `nil` without weights of four-bit codes.
    var isSymmetric: Bool? { facts.isEmpty ? nil : facts.values.allSatisfy { $0.zeroPoints == 8...8 } }

    /// The group size, when all weights have the same.
    var groupSize: Int? {
        let sizes = Set(facts.keys.compactMap { (weights[$0] as? any GroupedWeight)?.layout.groupSize })
        return sizes.count == 1 ? sizes.first : nil
    }

    /// The weight with the same codes for another format; `nil` when that format cannot store its scales or zero
    /// points.
    func regrouped(_ name: String, for target: any GroupedTarget, modelType: DType) -> RegroupedWeight? {
        let key = ExactString(name)
        guard let facts = facts[key], let weight = weights[key] as? any GroupedWeight,
            weight.layout.groupSize % target.groupSize == 0
        else { return nil }
        let hasBias = target.zeroPoints == nil
        if let allowed = target.zeroPoints {
            guard let found = facts.zeroPoints, allowed.contains(found.lowerBound), allowed.contains(found.upperBound)
            else { return nil }
        }
        let held = hasBias ? facts.biasTypes : facts.scaleTypes
        // Prefer the model's own type, which runtimes expect; the source's scale type always holds its scales.
        let types = [modelType, weight.layout.scaleType].filter(target.scaleTypes.contains) + target.scaleTypes
        guard let type = types.first(where: held.contains) else { return nil }
        return RegroupedWeight(weight, groupSize: target.groupSize, scaleType: type, hasBias: hasBias)
    }
}
