internal import Dispatch
internal import Synchronization

/// A bounded loop over workers.
package enum Parallel {
    /// Calls `body` once for every index below `count`, from at most `workers` threads.
    ///
    /// Workers take the next index from a counter, so indices start in order. What `body` computes must
    /// not depend on the worker: results are then the same for every number of threads.
    ///
    /// - Parameters:
    ///   - count: how many indices there are.
    ///   - workers: how many threads may run at once; 1 runs in the calling thread.
    ///   - body: the work, with the index and the number of the worker (0 to workers - 1).
    /// - Throws: the error of the lowest index that failed; later indices may not have run.
    package static func forEach<Failure: Error>(
        _ count: Int, workers: Int,
        _ body: @Sendable (_ index: Int, _ worker: Int) throws(Failure) -> Void
    ) throws(Failure) {
        let workers = max(1, min(workers, count))
        if workers == 1 {
            for index in 0..<max(count, 0) { try body(index, 0) }
            return
        }
        let next = Atomic<Int>(0)
        let failure = Mutex<(index: Int, error: Failure)?>(nil)
        let failed = Atomic<Bool>(false)
        DispatchQueue.concurrentPerform(iterations: workers) { worker in
            while !failed.load(ordering: .relaxed) {
                let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard index < count else { return }
                do throws(Failure) {
                    try body(index, worker)
                } catch {
                    failed.store(true, ordering: .relaxed)
                    failure.withLock { first in
                        if index < (first?.index ?? Int.max) { first = (index, error) }
                    }
                }
            }
        }
        if let error = failure.withLock({ $0?.error }) { throw error }
    }
}

extension Parallel {
    private static let rowsAtOnce = 16

    /// Calls `body` once for every row below `count`, for work so short that a thread takes sixteen rows at once.
    package static func forEachRow(_ count: Int, workers: Int, _ body: @Sendable (_ row: Int) -> Void) {
        forEach((count + rowsAtOnce - 1) / rowsAtOnce, workers: workers) { run, _ in
            for row in run * rowsAtOnce..<min(count, (run + 1) * rowsAtOnce) { body(row) }
        }
    }
}

extension Parallel {
    /// Makes a value for every index below `count` on several threads, and uses the values one by one in order.
    ///
    /// At most one value for each worker exists at a time.
    ///
    /// - Parameters:
    ///   - make: the work that runs on several threads at once.
    ///   - use: called for index 0, 1, 2, … from one thread at a time.
    /// - Throws: the error of the lowest index that failed; nothing after it is used.
    package static func inOrder<Value, Failure: Error>(
        _ count: Int, workers: Int,
        make: @Sendable (_ index: Int) throws(Failure) -> Value,
        use: @Sendable (_ index: Int, _ value: Value) throws(Failure) -> Void
    ) throws(Failure) {
        let workers = max(1, min(workers, count))
        // Values are used in order, so the indices under way are consecutive: at most one waits on each semaphore.
        let turns = (0..<workers).map { _ in DispatchSemaphore(value: 0) }
        turns[0].signal()
        let failed = Atomic<Bool>(false)
        try forEach(count, workers: workers) { (index, _) throws(Failure) in
            let value: Result<Value, Failure> = Result { () throws(Failure) in try make(index) }
            turns[index % workers].wait()
            defer { turns[(index + 1) % workers].signal() }
            if failed.load(ordering: .relaxed) { return }
            do throws(Failure) {
                try use(index, try value.get())
            } catch {
                failed.store(true, ordering: .relaxed)
                throw error
            }
        }
    }
}

extension Parallel {
    /// The results of `body` for every index below `count`, by index.
    ///
    /// - Throws: the error of the lowest index that failed.
    package static func map<Value: Sendable, Failure: Error>(
        _ count: Int, workers: Int,
        _ body: @Sendable (_ index: Int, _ worker: Int) throws(Failure) -> Value
    ) throws(Failure) -> [Value] {
        try map(order: Array(0..<max(count, 0)), workers: workers, body)
    }

    /// The results of `body` for every index, by index.
    ///
    /// - Parameter order: the indices from 0 in the order in which they are started. With the longest work first, all
    ///   threads end at about the same time.
    /// - Throws: the error of the first index in `order` that failed.
    package static func map<Value: Sendable, Failure: Error>(
        order: [Int], workers: Int,
        _ body: @Sendable (_ index: Int, _ worker: Int) throws(Failure) -> Value
    ) throws(Failure) -> [Value] {
        let values = Mutex<[Value?]>(Array(repeating: nil, count: order.count))
        try forEach(order.count, workers: workers) { (turn, worker) throws(Failure) in
            let index = order[turn]
            let value = try body(index, worker)
            values.withLock { $0[index] = value }
        }
        return values.withLock { $0.compactMap(\.self) }
    }
}
