package import Checkpoints

/// A part of a long piece of work, whose progress is counted by itself.
public enum WorkPhase: String, Sendable, CaseIterable {
    /// Distances between layers are measured.
    case analyze
    /// The loss without each of some runs of layers is measured.
    case measure
    /// Cuts are proposed.
    case search
    /// The proposed cuts are healed and compared.
    case compare
    /// The layers that stay are fitted.
    case heal
    /// The whole model predicts the text to train on.
    case teach
    /// Adapters are trained.
    case train
    /// The output is written.
    case write
    /// The difference from the input is packed.
    case pack
    /// The models after each step are compared with the whole one.
    case judge
}

/// What long work tells while it runs.
public enum WorkEvent: Sendable, Equatable {
    /// A phase begins.
    case begins(WorkPhase)
    /// How many tokens a phase runs through all layers of the model, a part of the layers counted as that part.
    case runs(WorkPhase, tokens: Double)
    /// How much of a phase is done, in layers, contexts, steps or bytes.
    case progress(WorkPhase, done: Int, total: Int)
    /// A phase is over.
    case ends(WorkPhase)
    /// What the user should know, one sentence.
    case note(String)
}

/// Receives what long work tells: a closure, called from any thread.
public struct Work: Sendable {
    private let report: @Sendable (WorkEvent) -> Void
    /// Keeps what is measured, for a run that goes on after an interruption; `nil` keeps nothing.
    public var measures: Measures?

    /// Work that is reported to a closure; without one nothing is reported.
    public init(_ report: @escaping @Sendable (WorkEvent) -> Void = { _ in }) { self.report = report }

    /// Tells what the user should know.
    package func note(_ text: String) { report(.note(text)) }

    /// Tells that a phase begins.
    func begin(_ phase: WorkPhase) { report(.begins(phase)) }

    /// Tells how many tokens a phase runs.
    func runs(_ phase: WorkPhase, tokens: Double) { report(.runs(phase, tokens: tokens)) }

    /// Tells how much of a phase is done.
    func progress(_ phase: WorkPhase, _ done: Int, _ total: Int) {
        report(.progress(phase, done: done, total: total))
    }

    /// Tells that a phase is over.
    func end(_ phase: WorkPhase) { report(.ends(phase)) }

    /// Runs a phase, whose body gets the closure for its progress.
    ///
    /// - Parameter tokens: how many tokens it runs.
    /// - Returns: what the body returns, and the seconds that it took.
    package func run<Result>(
        _ phase: WorkPhase, tokens: Double? = nil,
        _ body: (_ progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void) throws(CheckpointError) -> Result
    ) throws(CheckpointError) -> (result: Result, seconds: Double) {
        let start = ContinuousClock.now
        begin(phase)
        if let tokens { runs(phase, tokens: tokens) }
        let result = try body { done, total in progress(phase, done, total) }
        end(phase)
        return (result, (ContinuousClock.now - start).seconds)
    }
}

extension Duration {
    /// The duration in seconds.
    package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
