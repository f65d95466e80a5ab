package import Checkpoints

/// A set of layers as separate runs in ascending order: the union of ranges such as 3:4 and 9:12.
public struct LayerRuns: Sendable, Equatable {
    /// The runs, ascending, none empty, with a gap between neighbours.
    public let runs: [Range<Int>]

    /// The union of ranges, which may overlap and be in any order.
    public init(_ ranges: [Range<Int>] = []) {
        var runs: [Range<Int>] = []
        for range in ranges.filter({ !$0.isEmpty }).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = runs.last, range.lowerBound <= last.upperBound {
                runs[runs.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
            } else {
                runs.append(range)
            }
        }
        self.runs = runs
    }

    /// The number of layers in all runs.
    public var count: Int { runs.reduce(0) { $0 + $1.count } }

    /// Whether there are no layers.
    public var isEmpty: Bool { runs.isEmpty }

    /// The end of the last run.
    public var upperBound: Int { runs.last?.upperBound ?? 0 }

    /// Whether a layer is in one of the runs.
    public func contains(_ layer: Int) -> Bool { runs.contains { $0.contains(layer) } }

    /// Refuses layers that a model does not have.
    ///
    /// - Parameters:
    ///   - count: how many layers the model has.
    ///   - file: the model, for messages.
    package func check(count: Int, file: String) throws(CheckpointError) {
        guard let run = runs.first(where: { $0.lowerBound < 0 || $0.upperBound > count }) else { return }
        throw CheckpointError(
            file: file,
            "the layers \(run.lowerBound):\(run.upperBound) are out of range; there are \(count) (0:\(count))")
    }

    /// These layers and those of an earlier cut, in the numbers of the model before both.
    func following(_ earlier: LayerRuns) -> LayerRuns {
        let layers = runs.joined().map { layer in
            earlier.runs.reduce(layer) { $1.lowerBound <= $0 ? $0 + $1.count : $0 }
        }
        return LayerRuns(earlier.runs + layers.map { $0..<$0 + 1 })
    }

    /// How many layers of a range are in the runs.
    func count(in range: Range<Int>) -> Int { runs.reduce(0) { $0 + $1.clamped(to: range).count } }

    /// The layers of a range that are in no run, as runs.
    func gaps(in range: Range<Int>) -> [Range<Int>] {
        let starts = [range.lowerBound] + runs.map(\.upperBound), ends = runs.map(\.lowerBound) + [range.upperBound]
        return zip(starts, ends).filter { $0 < $1 }.map { ($0..<$1).clamped(to: range) }.filter { !$0.isEmpty }
    }

    /// The runs as text: `3:4`, `9:12`.
    public var texts: [String] { runs.map { "\($0.lowerBound):\($0.upperBound)" } }

    /// All runs in one text: `3:4, 9:12`.
    var text: String { texts.joined(separator: ", ") }

    /// In words: `layer 3`, `layers 21 to 28`, `layers 3, 7 and 9 to 11`.
    public var words: String {
        let parts = runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound) to \($0.upperBound - 1)" }
        let head = parts.dropLast().joined(separator: ", ")
        let text = head.isEmpty ? parts.last ?? "" : "\(head) and \(parts.last ?? "")"
        return (count == 1 ? "layer " : "layers ") + text
    }

    /// The number of a layer after the runs are cut; `nil` when it is in one of them.
    func renumbered(_ layer: Int) -> Int? { contains(layer) ? nil : layer - count(in: 0..<max(0, layer)) }

    /// The layer number before the runs were cut.
    func original(of layer: Int) -> Int {
        runs.reduce(layer) { layer, run in layer < run.lowerBound ? layer : layer + run.count }
    }
}
