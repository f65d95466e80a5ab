internal import ArgumentParser
internal import Checkpoints
internal import Surgery

/// Layers and ranges of layers, `3,7,9:12`.
struct LayerList: ExpressibleByArgument {
    let ranges: [Range<Int>]

    /// No model has so many layers; numbers behind it are mistakes.
    private static let most = 1_000_000

    init?(argument: String) {
        var ranges: [Range<Int>] = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
            guard ends.count <= 2, let start = ends[0], (0..<LayerList.most).contains(start) else { return nil }
            guard ends.count == 2 else {
                ranges.append(start..<start + 1)
                continue
            }
            guard let end = ends[1], (start...LayerList.most).contains(end) else { return nil }
            ranges.append(start..<end)
        }
        self.ranges = ranges
    }
}

/// Layers that are left out, by their numbers.
struct LayersOption: ParsableArguments {
    @Option(
        name: .long, parsing: .singleValue,
        help: ArgumentHelp(
            "The layers to leave out, counted from 0: numbers and half-open ranges, such as 3,7,9:12. Repeatable.",
            valueName: "list"))
    var layers: [LayerList] = []

    /// Whether the option is not given.
    var isEmpty: Bool { layers.isEmpty }

    func validate() throws {
        guard let empty = layers.flatMap(\.ranges).first(where: \.isEmpty) else { return }
        throw ValidationError("the range \(empty.lowerBound):\(empty.upperBound) is empty")
    }

    /// The union of all lists.
    ///
    /// - Throws: when a range is empty.
    func union(file: String) throws(CheckpointError) -> LayerRuns { try layers.union(file: file) }
}

extension [LayerList] {
    /// The union of all lists.
    ///
    /// - Throws: when a range is empty.
    func union(file: String) throws(CheckpointError) -> LayerRuns {
        let ranges = flatMap(\.ranges)
        if let empty = ranges.first(where: \.isEmpty) {
            throw CheckpointError(file: file, "the range \(empty.lowerBound):\(empty.upperBound) is empty")
        }
        return LayerRuns(ranges)
    }
}
