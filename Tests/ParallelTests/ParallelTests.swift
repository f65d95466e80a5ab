import Parallel
import Synchronization
import Testing

@Suite("the bounded loop")
struct ParallelTests {
    struct Failure: Error, Equatable { let index: Int }

    @Test("every index runs once", arguments: 1...4, [0, 1, 2, 3, 7, 1000])
    func once(workers: Int, count: Int) {
        let counts = Mutex(Array(repeating: 0, count: count))
        Parallel.forEach(count, workers: workers) { index, worker in
            #expect(0..<workers ~= worker)
            counts.withLock { $0[index] += 1 }
        }
        #expect(counts.withLock { $0.allSatisfy { $0 == 1 } })
    }

    @Test("the error of the lowest index is thrown", arguments: 1...4)
    func lowestError(workers: Int) {
        for _ in 0..<50 {
            let ran = Mutex<[Int]>([])
            #expect(throws: Failure(index: 20)) {
                try Parallel.forEach(200, workers: workers) { (index, _) throws(Failure) in
                    ran.withLock { $0.append(index) }
                    if index >= 20 { throw Failure(index: index) }
                }
            }
            #expect(ran.withLock { Set($0) }.isSuperset(of: 0...20))
        }
    }

    @Test("one worker runs in the calling thread, in order, and stops at the first error")
    func inOrder() {
        let ran = Mutex<[Int]>([])
        #expect(throws: Failure(index: 3)) {
            try Parallel.forEach(9, workers: 1) { (index, _) throws(Failure) in
                ran.withLock { $0.append(index) }
                if index == 3 { throw Failure(index: index) }
            }
        }
        #expect(ran.withLock { $0 } == [0, 1, 2, 3])
    }

    @Test("results do not depend on the number of workers", arguments: 2...4)
    func sameResults(workers: Int) {
        func squares(_ workers: Int) -> [Int] {
            let result = Mutex(Array(repeating: 0, count: 500))
            Parallel.forEach(500, workers: workers) { index, _ in
                result.withLock { $0[index] = index * index }
            }
            return result.withLock { $0 }
        }
        #expect(squares(workers) == squares(1))
    }

    @Test("a worker never runs two indices at once", arguments: 2...4)
    func exclusiveWorkers(workers: Int) {
        let busy = Mutex(Array(repeating: false, count: workers))
        Parallel.forEach(2000, workers: workers) { _, worker in
            #expect(
                !busy.withLock {
                    let was = $0[worker]
                    $0[worker] = true
                    return was
                })
            busy.withLock { $0[worker] = false }
        }
    }

    @Test(
        "no index, no worker and more workers than indices are fine",
        arguments: [(-1, 2), (0, 0), (0, 3), (2, 0), (2, -1), (2, 99)])
    func edges(count: Int, workers: Int) {
        let ran = Atomic<Int>(0)
        Parallel.forEach(count, workers: workers) { _, _ in ran.add(1, ordering: .relaxed) }
        #expect(ran.load(ordering: .relaxed) == max(0, count))
    }

    @Test("values are used in order, whichever thread made them", arguments: 1...4, [0, 1, 2, 3, 7, 500])
    func ordered(workers: Int, count: Int) {
        let used = Mutex<[Int]>([])
        Parallel.inOrder(count, workers: workers) { index in
            (0..<(index % 7) * 1000).reduce(index, &+) &- (0..<(index % 7) * 1000).reduce(0, &+)
        } use: { index, value in
            #expect(index == value)
            used.withLock { $0.append(value) }
        }
        #expect(used.withLock { $0 } == Array(0..<count))
    }

    @Test("nothing is used after a failure, of making or of using", arguments: 1...4, [true, false])
    func orderedFailure(workers: Int, inMaking: Bool) {
        for _ in 0..<50 {
            let used = Mutex<[Int]>([])
            #expect(throws: Failure(index: 20)) {
                try Parallel.inOrder(200, workers: workers) { (index) throws(Failure) -> Int in
                    if inMaking, index >= 20 { throw Failure(index: index) }
                    return index
                } use: { (index, value) throws(Failure) in
                    if index == 20 { throw Failure(index: index) }
                    used.withLock { $0.append(value) }
                }
            }
            #expect(used.withLock { $0 } == Array(0..<20))
        }
    }

    @Test("values lie by index, in whatever order they are begun", arguments: 1...4, [0, 1, 2, 7, 500])
    func mapped(workers: Int, count: Int) {
        #expect(Parallel.map(count, workers: workers) { index, _ in index * index } == (0..<count).map { $0 * $0 })
        let begun = Mutex<[Int]>([])
        let order = Array((0..<count).reversed())
        let values = Parallel.map(order: order, workers: workers) { index, worker in
            #expect(0..<workers ~= worker)
            if workers == 1 { begun.withLock { $0.append(index) } }
            return "\(index)"
        }
        #expect(values == (0..<count).map { "\($0)" })
        if workers == 1 { #expect(begun.withLock { $0 } == order) }
    }

    @Test("no values when one fails, and the error of the first that was begun", arguments: 1...4)
    func mappedFailure(workers: Int) {
        for _ in 0..<50 {
            #expect(throws: Failure(index: 180)) {
                try Parallel.map(order: Array((0..<200).reversed()), workers: workers) { (index, _) throws(Failure) in
                    if index <= 180 { throw Failure(index: index) }
                    return index
                }
            }
        }
    }
}
