internal import Checkpoints
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A progress bar with rate and remaining time, when standard error is a terminal.
final class Progress: Sendable {
    private let label: String
    private let unit: Unit
    private let start = Progress.now()
    private let lastDrawn = Atomic<UInt64>(0)
    private let isShown: Bool

    private static let interval: UInt64 = 100_000_000
    private static let width = 24
    private static let erase = "\r\u{1B}[K"

    /// The unit of progress.
    enum Unit: Sendable {
        case layers
        case steps
        case contexts
        case bytes
    }

    init(_ label: String, unit: Unit, quiet: Bool) {
        self.label = label
        self.unit = unit
        isShown = !quiet && Output.isWatched
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// Seconds since the bar was created.
    var seconds: Double { Double(Progress.now() - start) / 1e9 }

    /// Shows the progress. Callable from any thread; redraws at a limited rate.
    func report(_ done: Int, _ total: Int) {
        guard isShown, total > 0 else { return }
        let now = Progress.now()
        let last = lastDrawn.load(ordering: .relaxed)
        guard now - last > Progress.interval || done == total,
            lastDrawn.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged
        else { return }
        let share = Double(done) / Double(total)
        let filled = Int(share * Double(Progress.width))
        let bar = String(repeating: "━", count: filled) + String(repeating: "─", count: Progress.width - filled)
        let elapsed = max(seconds, 1e-3)
        let rate = Double(done) / elapsed
        let text: String
        switch unit {
        case .layers: text = "\(rate.fixed(1)) layers/s"
        case .steps: text = "\(rate.fixed(2)) steps/s"
        case .contexts: text = "\(rate.fixed(1)) contexts/s"
        case .bytes: text = "\((rate / 1e6).fixed(0)) MB/s"
        }
        let left = rate > 0 ? Double(total - done) / rate : 0
        let time = "\(Int(left) / 60):\(String(Int(left) % 60 + 100).dropFirst()) left"
        let percent = Int(share * 100).description.padded(3, right: true)
        Progress.draw(Progress.erase + "\(label.padded(10)) \(bar) \(percent)%  \(text)  \(time)")
    }

    /// Removes the bar.
    func finish() { if isShown { Progress.clear() } }

    /// Removes the current bar before other output.
    static func clear() {
        if Output.isWatched { draw(erase) }
    }

    private static func draw(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}
