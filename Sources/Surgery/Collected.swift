internal import Synchronization

/// Results of a loop over threads, each put where its index says.
final class Collected<Value: Sendable>: Sendable {
    private let results: Mutex<[Value?]>

    /// Room for so many.
    init(count: Int) { results = Mutex(Array(repeating: nil, count: count)) }

    /// Takes one result.
    func set(_ index: Int, _ value: Value) { results.withLock { $0[index] = value } }

    /// All results, in order.
    var values: [Value] { results.withLock { $0.compactMap(\.self) } }
}
