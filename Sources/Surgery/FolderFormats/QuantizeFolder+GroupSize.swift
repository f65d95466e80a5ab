internal import Checkpoints
internal import Formats

extension QuantizeFolder {
    /// The requested group size, else that of a quantized source, else the largest that divides all row lengths.
    func groupSize(_ coded: CodedSource, _ wanted: [Tensor]) throws(CheckpointError) -> Int {
        let sizes = type.groupSizes
        let kept = coded.groupSize.flatMap { sizes.contains($0) ? $0 : nil }
        let usual = type.usualGroupSize ?? 0
        let size = settings.groupSize ?? kept ?? QuantizeFolder.fitting(sizes.filter { $0 <= usual }, wanted) ?? usual
        guard sizes.contains(size) else {
            throw CheckpointError(
                "\(type.rawValue) has no group size \(size)",
                hint: "it has " + sizes.map(String.init).joined(separator: ", "))
        }
        return size
    }

    /// The largest size that divides the row lengths of all weights, or else of most.
    private static func fitting(_ sizes: [Int], _ weights: [Tensor]) -> Int? {
        func leftPlain(_ size: Int) -> Int {
            weights.reduce(0) { $0 + ($1.rowLength % size == 0 ? 0 : $1.count) }
        }
        return sizes.map { ($0, leftPlain($0)) }.min { ($0.1, -$0.0) < ($1.1, -$1.0) }?.0
    }

    /// A note that groups are smaller than the default; `nil` when they are not, were requested, or come from a
    /// quantized source.
    func groupNote(_ target: any QuantTarget, _ coded: CodedSource, _ wanted: [Tensor]) -> String? {
        guard settings.groupSize == nil, let size = (target as? any GroupedTarget)?.groupSize, coded.groupSize != size,
            let usual = type.usualGroupSize, size < usual,
            let weight = wanted.first(where: { $0.rowLength % usual != 0 && $0.rowLength % size == 0 })
        else { return nil }
        return "group size \(size), because \(usual) does not divide rows of \(weight.rowLength.grouped)"
    }
}
