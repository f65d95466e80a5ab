internal import CXXHash

/// A set of names that tells whether one was there before, byte for byte: faster than a `Set` where files have 100,000 names.
struct NameSet {
    private var names: [String] = []
    /// Places in `names`, or -1; at most half of them are taken.
    private var slots: [Int32]
    /// Different in every run, so that no file can be made whose names all meet.
    private static let seed = UInt64.random(in: .min ... .max)

    /// A set with room for so many names.
    init(capacity: Int) {
        names.reserveCapacity(capacity)
        var count = 16
        while count < 2 * capacity { count *= 2 }
        slots = Array(repeating: -1, count: count)
    }

    /// Adds a name.
    ///
    /// - Returns: whether it is new.
    mutating func insert(_ name: String) -> Bool {
        if 2 * (names.count + 1) > slots.count { grow() }
        var name = name
        let mask = slots.count - 1
        var slot = NameSet.hash(&name) & mask
        while slots[slot] >= 0 {
            if names[Int(slots[slot])].utf8.elementsEqual(name.utf8) { return false }
            slot = (slot + 1) & mask
        }
        slots[slot] = Int32(names.count)
        names.append(name)
        return true
    }

    private mutating func grow() {
        var larger = NameSet(capacity: slots.count)
        for name in names { _ = larger.insert(name) }
        self = larger
    }

    private static func hash(_ name: inout String) -> Int {
        name.withUTF8 { Int(truncatingIfNeeded: XXH3_64bits_withSeed($0.baseAddress, $0.count, seed)) }
    }
}
