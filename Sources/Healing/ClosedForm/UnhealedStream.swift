internal import Analysis
internal import Checkpoints
internal import Decoder

/// The stream of the cut model without a heal, for the contexts that judge: what a heal is measured against.
struct UnhealedStream {
    private let start: HealingStart
    private let states: HiddenStates

    /// Memory for the stream.
    init(_ start: HealingStart) throws(CheckpointError) {
        self.start = start
        states = try HiddenStates(
            contexts: start.judged.count, contextLength: start.states.contextLength, hidden: start.states.hidden,
            isSpilled: start.isSpilled(.cut))
    }

    /// Parts from the whole model's stream.
    func begin() { if !start.judged.isEmpty { states.copy(start.states, contexts: start.judged) } }

    /// Runs a layer.
    func run(_ layer: Int) throws(CheckpointError) {
        for batch in start.batches(start.judged) {
            let own = states.context(batch.lowerBound - start.judged.lowerBound)
            try start.steps.run(layer, own, contexts: batch.count)
        }
    }

    /// The losses after the last layer; `nil` without contexts that judge.
    func evaluation() throws(CheckpointError) -> Evaluation? { try start.evaluation(of: states.context(0)) }
}
