internal import Synchronization

/// Counts bytes from several threads and reports the sum.
final class ByteCounter: Sendable {
    private let done = Atomic<Int>(0)
    private let total: Int
    private let report: (@Sendable (Int, Int) -> Void)?

    init(total: Int, report: (@Sendable (Int, Int) -> Void)?) {
        self.total = total
        self.report = report
    }

    func add(_ count: Int) {
        let sum = done.wrappingAdd(count, ordering: .relaxed).newValue
        report?(sum, total)
    }
}
