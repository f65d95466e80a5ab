internal import Checkpoints
internal import Formats

extension QuantizeFolder {
    /// The group size that was asked for, that of a packed source, or the largest that divides all rows.
    func groupSize(
        among sizes: [Int], _ coded: CodedSource, _ wanted: [Tensor]
    ) throws(CheckpointError) -> Int {
        let kept = coded.groupSize.flatMap { sizes.contains($0) ? $0 : nil }
        let usual = type.usualGroupSize ?? 0
        let size = settings.groupSize ?? kept ?? QuantizeFolder.fitting(sizes.filter { $0 <= usual }, wanted) ?? usual
        guard sizes.contains(size) else {
            throw CheckpointError(
                "a group of \(size) is not possible in \(type.rawValue)",
                hint: "--group-size takes " + sizes.map(String.init).joined(separator: ", "))
        }
        return size
    }

    /// The largest of some sizes that divides the rows of all weights, or else of most.
    private static func fitting(_ sizes: [Int], _ weights: [Tensor]) -> Int? {
        func leftPlain(_ size: Int) -> Int {
            weights.reduce(0) { $0 + ($1.rowLength % size == 0 ? 0 : $1.count) }
        }
        return sizes.map { ($0, leftPlain($0)) }.min { ($0.1, -$0.0) < ($1.1, -$1.0) }?.0
    }

    /// Says that groups are smaller than usual; `nil` where that was asked for, kept from a packed source, or is not so.
    func groupNote(_ target: any QuantTarget, _ coded: CodedSource, _ wanted: [Tensor]) -> String? {
        guard settings.groupSize == nil, let size = (target as? any GroupedTarget)?.groupSize, coded.groupSize != size,
            let usual = type.usualGroupSize, size < usual,
            let weight = wanted.first(where: { $0.rowLength % usual != 0 && $0.rowLength % size == 0 })
        else { return nil }
        return "groups of \(size), because \(usual) does not divide rows of \(weight.rowLength.grouped)"
    }
}
