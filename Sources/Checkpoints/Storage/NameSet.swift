internal import CXXHash
#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A set of names, compared byte for byte, to find repeated ones. It is faster than a `Set` for files with 100,000
/// names.
struct NameSet {
    private var names: [String] = []
    /// For each name its index in `names` plus one, below the upper half of its hash; 0 is free. At most half are used.
    private var slots: [UInt64]
    /// Random in every run, so that no file can force hash collisions.
    private static let seed = UInt64.random(in: .min ... .max)
    private static let upperHalf: UInt64 = 0xFFFF_FFFF_0000_0000

    /// A set with capacity for this many names.
    init(capacity: Int) {
        names.reserveCapacity(capacity)
        var count = 16
        while count < 2 * capacity { count *= 2 }
        slots = Array(repeating: 0, count: count)
    }

    /// Adds a name.
    ///
    /// - Returns: whether it is new.
    mutating func insert(_ name: String) -> Bool {
        if 2 * (names.count + 1) > slots.count { grow() }
        var copy = name
        let hash = copy.withUTF8 { XXH3_64bits_withSeed($0.baseAddress, $0.count, NameSet.seed) }
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let there = slots[slot]
            if (there ^ hash) & NameSet.upperHalf == 0,
                names[Int(there & ~NameSet.upperHalf) - 1].utf8.elementsEqual(name.utf8)
            {
                return false
            }
            slot = (slot + 1) & mask
        }
        names.append(name)
        slots[slot] = hash & NameSet.upperHalf | UInt64(names.count)
        return true
    }

    /// The first name that an earlier tensor has too.
    static func firstRepeated(in tensors: [Tensor]) -> String? {
        // Most files are sorted by name: then neighbours would be equal.
        let isSorted = tensors.indices.dropFirst().allSatisfy { isBefore(tensors[$0 - 1].name, tensors[$0].name) }
        if isSorted { return nil }
        var names = NameSet(capacity: tensors.count)
        return tensors.indices.first { !names.insert(tensors[$0].name) }.map { tensors[$0].name }
    }

    /// Whether a name comes before another one by its bytes.
    private static func isBefore(_ a: String, _ b: String) -> Bool {
        var (a, b) = (a, b)
        return a.withUTF8 { a in
            b.withUTF8 { b in
                let count = min(a.count, b.count)
                guard count > 0, let first = a.baseAddress, let second = b.baseAddress else { return a.count < b.count }
                let order = memcmp(first, second, count)
                return order < 0 || (order == 0 && a.count < b.count)
            }
        }
    }

    private mutating func grow() {
        var larger = NameSet(capacity: slots.count)
        for name in names { _ = larger.insert(name) }
        self = larger
    }
}
