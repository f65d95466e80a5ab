internal import Healing
internal import Synchronization

/// Shows the progress and the notes of work that a library does.
final class WorkProgress: Sendable {
    private let common: CommonOptions
    private let bar = Mutex<(phase: WorkPhase, progress: Progress)?>(nil)

    init(_ common: CommonOptions) { self.common = common }

    func receive(_ event: WorkEvent) {
        switch event {
        case .begins(let phase):
            let progress = Progress(phase.rawValue, unit: phase.unit, quiet: common.quiet)
            bar.withLock { $0 = (phase, progress) }
        case .runs(let phase, let tokens):
            bar.withLock { if $0?.phase == phase { $0?.progress.runs(tokens: tokens) } }
        case .progress(let phase, let done, let total):
            let shown = bar.withLock { $0?.phase == phase ? $0?.progress : nil }
            shown?.report(done, total)
        case .ends(let phase):
            let ended = bar.withLock { bar -> Progress? in
                guard let shown = bar, shown.phase == phase else { return nil }
                bar = nil
                return shown.progress
            }
            ended?.finish()
        case .note(let text): common.note(text)
        }
    }
}

extension CommonOptions {
    /// Shows on standard error what a library tells of its work.
    var work: Work { Work(WorkProgress(self).receive) }
}

extension WorkPhase {
    fileprivate var unit: Progress.Unit {
        switch self {
        case .analyze, .measure, .search, .compare, .heal, .judge: .layers
        case .teach: .contexts
        case .train: .steps
        case .write, .pack: .bytes
        }
    }
}
