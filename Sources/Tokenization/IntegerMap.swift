/// A map from 64-bit keys to pairs of 32-bit values, several times as fast as a dictionary.
struct IntegerMap: Sendable {
    /// What a key stands for.
    struct Value: Sendable {
        let first: Int32
        let second: Int32
    }

    private struct Slot: Sendable {
        var key: UInt64
        var value: Value
    }

    /// A key that no caller has: pairs of tokens and characters are below it.
    private static let empty = UInt64.max
    private var slots: [Slot]
    private var mask: Int
    private(set) var count = 0

    /// An empty map with room for some keys.
    init(capacity: Int) {
        var size = 16
        while size < 2 * capacity { size *= 2 }
        slots = Array(repeating: Slot(key: IntegerMap.empty, value: Value(first: 0, second: 0)), count: size)
        mask = size - 1
    }

    /// The key of two values.
    static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    private func home(_ key: UInt64) -> Int {
        let product = key &* 0x9E37_79B9_7F4A_7C15
        return Int(truncatingIfNeeded: (product ^ product >> 32) >> 8) & mask
    }

    /// The value of a key.
    subscript(key: UInt64) -> Value? {
        slots.withUnsafeBufferPointer { slots in
            var place = home(key)
            while slots[place].key != key {
                if slots[place].key == IntegerMap.empty { return nil }
                place = (place + 1) & mask
            }
            return slots[place].value
        }
    }

    /// Sets the value of a key, unless it has one.
    mutating func insert(_ key: UInt64, _ first: Int32, _ second: Int32 = 0) {
        if 2 * count >= slots.count { grow() }
        var place = home(key)
        while slots[place].key != IntegerMap.empty {
            if slots[place].key == key { return }
            place = (place + 1) & mask
        }
        slots[place] = Slot(key: key, value: Value(first: first, second: second))
        count += 1
    }

    private mutating func grow() {
        var larger = IntegerMap(capacity: slots.count)
        for slot in slots where slot.key != IntegerMap.empty {
            larger.insert(slot.key, slot.value.first, slot.value.second)
        }
        self = larger
    }
}
