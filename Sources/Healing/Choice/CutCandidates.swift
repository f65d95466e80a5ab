public import Analysis
public import Checkpoints
internal import Formats
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
    /// Whether distances over all tokens count, where they are measured, not only those over the last token of each context.
    public var overAllTokens = false
    /// Whether the last layer may be cut.
    public var includesLast: Bool
    /// How the model is run.
    public var run: RunOptions

    /// Progress of a measurement is counted in so many parts.
    private static let parts = 1000
    /// Cuts of a rule that are tried for one that is possible.
    private static let mostTried = 500

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
    ///   - work: keeps what is measured.
    ///   - progress: called with the steps done and the steps in all.
    /// - Throws: the reason why the first cut is impossible, when none is possible.
    public func find(
        size: Int, in checkpoint: Checkpoint, _ similarity: Similarity, ranking: Corpus, work: Work = Work(),
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
            for dropped in cuts.prefix(CutCandidates.mostTried) where taken < limit {
                if result.contains(where: { $0.dropped == dropped }) || !isPossible(dropped) { continue }
                let distance = similarity.distance(of: dropped, overAllTokens: overAllTokens)
                result.append(CutCandidate(dropped: dropped, rule: rule, distance: distance))
                taken += 1
            }
        }
        let runs = similarity.nearestRuns(size: size, overAllTokens: overAllTokens, includesLast: includesLast)
            .map { LayerRuns([$0.layers]) }
        take(runs, .angle, limit: nearest)
        let pairsOfRuns = similarity.nearestPairs(
            size: size, overAllTokens: overAllTokens, includesLast: includesLast)
        take(pairsOfRuns, .twoRuns, limit: pairs)
        if let refusal, result.isEmpty { throw refusal }
        // A measurement of all runs, one of all single layers, and one for every other layer.
        let steps = 1 + (size > 1 ? size : 0)
        var done = 0
        func measured(_ cuts: [LayerRuns]) throws(CheckpointError) -> [Double] {
            defer { done += 1 }
            return try losses(cuts, checkpoint, ranking, work) { [done] part, whole in
                progress?(
                    done * CutCandidates.parts + part * CutCandidates.parts / max(1, whole), steps * CutCandidates.parts
                )
            }
        }
        progress?(0, steps)
        let lossOfRuns = try measured(runs)
        take(zip(runs, lossOfRuns).sorted { $0.1 < $1.1 }.map(\.0), .loss, limit: 1)
        if let greedy = try greedy(size, similarity.layers, measured) {
            take([greedy], .greedy, limit: 1)
        }
        progress?(steps, steps)
        return result
    }

    private func losses(
        _ cuts: [LayerRuns], _ checkpoint: Checkpoint, _ ranking: Corpus, _ work: Work,
        _ progress: @escaping (_ done: Int, _ total: Int) -> Void
    ) throws(CheckpointError) -> [Double] {
        try work.measured(
            ["cuts", "\(cuts.map(\.texts))", "\(run.precision)", ranking.identity],
            read: { kept in
                let losses = (kept.array ?? []).compactMap(\.loss)
                return losses.count == cuts.count ? losses : nil
            }, write: { .array($0.map(JSON.init(loss:))) }
        ) { () throws(CheckpointError) in
            try CutLoss.measure(cuts, of: checkpoint, corpus: ranking, run: run, progress: progress)
        }
    }

    /// Cuts one layer after the other.
    private func greedy(
        _ size: Int, _ layers: Int, _ losses: ([LayerRuns]) throws(CheckpointError) -> [Double]
    ) throws(CheckpointError) -> LayerRuns? {
        let all = 0..<(includesLast ? layers : layers - 1)
        guard size > 1, size < all.count else { return nil }
        func best(_ cuts: [LayerRuns]) throws(CheckpointError) -> [LayerRuns] {
            let losses = try losses(cuts)
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
    func distance(of dropped: LayerRuns, overAllTokens: Bool) -> Double {
        let distances = overAllTokens ? all ?? last : last
        return dropped.runs.reduce(0) { $0 + distances[$1.lowerBound][$1.upperBound] }
    }

    /// Pairs of runs with layers between them, together of some size, by the sum of their distances.
    fileprivate func nearestPairs(size: Int, overAllTokens: Bool, includesLast: Bool) -> [LayerRuns] {
        let end = includesLast ? layers : layers - 1
        var pairs: [(LayerRuns, Double)] = []
        for first in 1..<max(1, size) {
            for start in 0...max(0, end - size) {
                let second = size - first
                for other in stride(from: start + first + 1, through: end - second, by: 1) {
                    let dropped = LayerRuns([start..<start + first, other..<other + second])
                    pairs.append((dropped, distance(of: dropped, overAllTokens: overAllTokens)))
                }
            }
        }
        return pairs.sorted { $0.1 < $1.1 }.map(\.0)
    }
}
