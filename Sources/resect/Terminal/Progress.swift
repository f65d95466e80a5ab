internal import Checkpoints
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The progress of a phase: a line on a terminal, with rate and remaining time; elsewhere one line when a slow phase ends.
final class Progress: Sendable {
    private let label: String
    private let unit: Unit
    private let tokens: Mutex<Double?>
    private let phase: PhaseCount.Place?
    private let start = Progress.now()
    private let lastDrawn = Atomic<UInt64>(0)
    private let isShown: Bool
    private let isQuiet: Bool

    private static let interval: UInt64 = 100_000_000
    private static let erase = "\r\u{1B}[K"
    /// From so many seconds on a phase has a line where there is no terminal.
    private static let slow = 5.0

    /// The unit of progress.
    enum Unit: Sendable {
        case layers
        case steps
        case contexts
        case bytes
    }

    /// Begins a phase.
    ///
    /// - Parameter tokens: how many tokens all of it runs; the rate is in tokens then.
    init(_ label: String, unit: Unit, quiet: Bool, tokens: Int? = nil) {
        (self.label, self.unit, isQuiet) = (label, unit, quiet)
        self.tokens = Mutex(tokens.map(Double.init))
        phase = PhaseCount.next()
        isShown = !quiet && Progress.isDrawn
    }

    /// Says how many tokens all of the phase runs.
    func runs(tokens: Double) { self.tokens.withLock { $0 = tokens } }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Seconds since the phase began.
    var seconds: Double { Double(Progress.now() - start) / 1e9 }

    /// Shows the progress. Callable from any thread; redraws at a limited rate, in as many columns as there are then.
    func report(_ done: Int, _ total: Int) {
        guard isShown, total > 0 else { return }
        let now = Progress.now()
        let last = lastDrawn.load(ordering: .relaxed)
        guard now - last > Progress.interval || done == total,
            lastDrawn.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged
        else { return }
        let share = Double(done) / Double(total)
        let elapsed = max(seconds, 1e-3)
        let own = done > 0 ? elapsed * (1 - share) / share : nil
        let left = own.map { $0 + (phase.map { $0.secondsBehind(share: share, elapsed: elapsed) } ?? 0) }
        let line = ProgressLine(
            label: label, share: share, phase: phase?.text, rate: rate(done, total, elapsed), secondsLeft: left)
        Progress.draw(Progress.erase + line.text(width: Terminal.width(of: STDERR_FILENO) ?? 80))
    }

    private func rate(_ done: Int, _ total: Int, _ elapsed: Double) -> String {
        if let tokens = tokens.withLock({ $0 }) {
            return "\((tokens * Double(done) / Double(total) / elapsed).fixed(0)) tokens/s"
        }
        let rate = Double(done) / elapsed
        return switch unit {
        case .layers: "\(rate.fixed(1)) layers/s"
        case .steps: "\(rate.fixed(2)) steps/s"
        case .contexts: "\(rate.fixed(1)) contexts/s"
        case .bytes: "\((rate / 1e6).fixed(0)) MB/s"
        }
    }

    /// Removes the line; without a terminal says how long a slow phase took.
    func finish() {
        phase?.finish(seconds: seconds)
        if isShown { return Progress.clear() }
        guard !isQuiet, seconds >= Progress.slow else { return }
        let speed = tokens.withLock { $0 }.map { ", \(($0 / seconds).fixed(0)) tokens/s" } ?? ""
        Output.message("\(label) took \(seconds.fixed(1)) s\(phase.map { " (\($0.text))" } ?? "")\(speed)")
    }

    /// Removes the current line before other output.
    static func clear() {
        if isDrawn { draw(erase) }
    }

    /// Whether standard error is a terminal that can erase a line.
    private static var isDrawn: Bool { Output.isWatched && Terminal.value("TERM") != "dumb" }

    private static func draw(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
