public import Analysis
public import Checkpoints
public import Surgery

/// A cut that could be made, and which rule proposed it.
public struct CutCandidate: Sendable, Equatable {
    /// Rules that propose cuts.
    public enum Rule: String, Sendable {
        /// A run with a small angular distance between its ends.
        case angle
        /// Two runs whose distances add up to little.
        case twoRuns = "two runs"
        /// The run whose cut raises the loss least.
        case loss
        /// One layer after the other, each time the one whose cut raises the loss least.
        case greedy
    }

    /// The layers.
    public let dropped: LayerRuns
    /// The first rule that proposed them.
    public let rule: Rule
    /// The angular distance that the cut leaps over, summed over its runs.
    public let distance: Double

    /// A candidate.
    public init(dropped: LayerRuns, rule: Rule, distance: Double) {
        self.dropped = dropped
        self.rule = rule
        self.distance = distance
    }
}

/// Proposes cuts of a size by several rules. None of them knows what a heal will do; that is for `HealedChoice` to measure.
public struct CutCandidates: Sendable {
    /// Runs that the angle proposes, and pairs of runs.
    public var nearest = 5, pairs = 2
    /// Single layers that are tried in every step of the greedy search but the first.
    public var greedyWidth = 8
    /// Whether the last layer may be cut.
    public var includesLast: Bool
    /// How the model is run.
    public var run: RunOptions

    /// Rules with their usual numbers of candidates.
    public init(includesLast: Bool = false, run: RunOptions) {
        self.includesLast = includesLast
        self.run = run
    }

    /// Finds cuts that are possible, without repetitions.
    ///
    /// - Parameters:
    ///   - size: how many layers are cut.
    ///   - checkpoint: the whole model, with weights that can be run.
    ///   - similarity: its distances.
    ///   - ranking: text to measure losses on; a few contexts are enough.
    ///   - progress: called with the steps done and the steps in all.
    /// - Throws: the reason why the first cut is impossible, when none is possible.
    public func find(
        size: Int, in checkpoint: Checkpoint, _ similarity: Similarity, ranking: Corpus,
        progress: ((_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) -> [CutCandidate] {
        var result: [CutCandidate] = []
        var refusal: CheckpointError?
        func isPossible(_ dropped: LayerRuns) -> Bool {
            do throws(CheckpointError) {
                _ = try CutLayers(layers: dropped).apply(to: checkpoint)
                return true
            } catch {
                refusal = refusal ?? error
                return false
            }
        }
        func take(_ cuts: some Sequence<LayerRuns>, _ rule: CutCandidate.Rule, limit: Int) {
            var taken = 0
            for dropped in cuts where taken < limit {
                if result.contains(where: { $0.dropped == dropped }) || !isPossible(dropped) { continue }
                result.append(CutCandidate(dropped: dropped, rule: rule, distance: similarity.distance(of: dropped)))
                taken += 1
            }
        }
        let runs = similarity.nearestRuns(size: size, includesLast: includesLast).map { LayerRuns([$0.layers]) }
        take(runs, .angle, limit: nearest)
        take(similarity.nearestPairs(size: size, includesLast: includesLast), .twoRuns, limit: pairs)
        let steps = 2
        progress?(0, steps)
        let losses = try CutLoss.measure(runs, of: checkpoint, corpus: ranking, run: run)
        progress?(1, steps)
        take(zip(runs, losses).sorted { $0.1 < $1.1 }.map(\.0), .loss, limit: 1)
        if let greedy = try greedy(size, checkpoint, similarity.layers, ranking) { take([greedy], .greedy, limit: 1) }
        progress?(steps, steps)
        if let refusal, result.isEmpty { throw refusal }
        return result
    }

    /// Cuts one layer after the other.
    private func greedy(
        _ size: Int, _ checkpoint: Checkpoint, _ layers: Int, _ ranking: Corpus
    ) throws(CheckpointError) -> LayerRuns? {
        let all = 0..<(includesLast ? layers : layers - 1)
        guard size > 1, size < all.count else { return nil }
        func best(_ cuts: [LayerRuns]) throws(CheckpointError) -> [LayerRuns] {
            let losses = try CutLoss.measure(cuts, of: checkpoint, corpus: ranking, run: run)
            return zip(cuts, losses).sorted { $0.1 < $1.1 }.map(\.0)
        }
        let single = try best(all.map { LayerRuns([$0..<$0 + 1]) })
        var chosen = single[0]
        while chosen.count < size {
            let rest = single.filter { !chosen.contains($0.runs[0].lowerBound) }.prefix(max(1, greedyWidth))
            chosen = try best(rest.map { LayerRuns(chosen.runs + $0.runs) })[0]
        }
        return chosen
    }
}

extension Similarity {
    /// The distances that a cut leaps over, summed over its runs.
    func distance(of dropped: LayerRuns) -> Double {
        dropped.runs.reduce(0) { $0 + last[$1.lowerBound][$1.upperBound] }
    }

    /// Pairs of runs with layers between them, together of some size, by the sum of their distances.
    fileprivate func nearestPairs(size: Int, includesLast: Bool) -> [LayerRuns] {
        let end = includesLast ? layers : layers - 1
        var pairs: [(LayerRuns, Double)] = []
        for first in 1..<max(1, size) {
            for start in 0...max(0, end - size) {
                let second = size - first
                for other in stride(from: start + first + 1, through: end - second, by: 1) {
                    let dropped = LayerRuns([start..<start + first, other..<other + second])
                    pairs.append((dropped, distance(of: dropped)))
                }
            }
        }
        return pairs.sorted { $0.1 < $1.1 }.map(\.0)
    }
}
