/// Texts with values, found by walking their bytes.
struct TokenTrie: Sendable {
    /// The children of each node by their byte.
    private var edges: IntegerMap
    /// The children of the root.
    private var first: [Int32]
    /// The value of each node; -1 where no text ends.
    private var values: [Int32] = [-1]

    init() {
        edges = IntegerMap(capacity: 1 << 10)
        first = Array(repeating: -1, count: 256)
    }

    /// Whether there is no text.
    var isEmpty: Bool { values.count == 1 }

    /// Adds a text. The first value of a text stays.
    mutating func insert(_ text: some Sequence<UInt8>, _ value: Int32) {
        var node: Int32 = 0
        for byte in text {
            if let child = child(of: node, byte) {
                node = child
                continue
            }
            let child = Int32(values.count)
            values.append(-1)
            if node == 0 { first[Int(byte)] = child } else { edges.insert(IntegerMap.key(node, Int32(byte)), child) }
            node = child
        }
        if node != 0, values[Int(node)] < 0 { values[Int(node)] = value }
    }

    @inline(__always)
    private func child(of node: Int32, _ byte: UInt8) -> Int32? {
        if node == 0 {
            let child = first[Int(byte)]
            return child < 0 ? nil : child
        }
        return edges[IntegerMap.key(node, Int32(byte))]?.first
    }

    /// Calls `body` with the value and the end of every text that begins at a position, the shortest first.
    @inline(__always)
    func forEach(in text: UnsafeRawBufferPointer, at start: Int, _ body: (_ value: Int32, _ end: Int) -> Void) {
        var node: Int32 = 0
        var index = start
        while index < text.count, let child = child(of: node, text[index]) {
            node = child
            index += 1
            let value = values[Int(node)]
            if value >= 0 { body(value, index) }
        }
    }

    /// Whether a text begins with a byte.
    func begins(with byte: UInt8) -> Bool { first[Int(byte)] >= 0 }
}
