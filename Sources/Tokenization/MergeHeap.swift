/// A binary heap of possible merges: the lowest rank on top, and of equal ranks the leftmost.
struct MergeHeap {
    struct Candidate {
        let rank: Int32
        let position: Int32
        /// The two symbols when the candidate was found; if either has changed since, the candidate is stale.
        let left: Int32
        let right: Int32
        let result: Int32

        func precedes(_ other: Candidate) -> Bool { (rank, position) < (other.rank, other.position) }
    }

    private var items: [Candidate] = []

    mutating func push(_ item: Candidate) {
        items.append(item)
        var child = items.count - 1
        while child > 0, items[child].precedes(items[(child - 1) / 2]) {
            items.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> Candidate? {
        guard let top = items.first, let last = items.popLast() else { return nil }
        guard !items.isEmpty else { return top }
        items[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in 2 * parent + 1..<min(2 * parent + 3, max(2 * parent + 1, items.count)) {
                if items[child].precedes(items[least]) { least = child }
            }
            if least == parent { return top }
            items.swapAt(least, parent)
            parent = least
        }
    }
}
