public import Checkpoints
public import Formats

/// The bytes of a checkpoint by kind of tensor, by type and by layer, added up in one pass over the names.
///
/// Two tensors are of one kind when their names differ only in numbers between dots: `model.layers.*.mlp.up_proj.weight`.
public struct TensorSums: Sendable {
    /// Tensors of one kind.
    public struct Kind: Sendable, Equatable {
        /// The name with `*` for every number between dots.
        public let name: String
        /// The position of the first tensor of the kind.
        public let first: Int
        /// How many tensors there are.
        public fileprivate(set) var count = 0
        /// The elements of all.
        public fileprivate(set) var elementCount = 0
        /// The bytes of all.
        public fileprivate(set) var byteCount = 0
    }

    /// The kinds, in the order of their first tensors.
    public private(set) var kinds: [Kind] = []
    /// The types, in the order of their first tensors.
    public private(set) var types: [(dtype: DType, count: Int, byteCount: Int)] = []
    /// The bytes of every layer of the decoder.
    public private(set) var layerByteCounts: [Int]

    private let prefix: [UInt8]
    private var patterns: [[UInt8]] = []
    private var found: [Int: [Int]] = [:]
    /// The kind that followed a kind last time: layers repeat the same tensors in the same order.
    private var next: [Int] = []

    /// Adds up.
    ///
    /// - Parameters:
    ///   - tensors: the tensors of a checkpoint.
    ///   - layers: the numbering of the layers; `nil` where there are none.
    public init(_ tensors: [Tensor], layers: LayerPattern?) {
        prefix = Array((layers?.prefix ?? "").utf8)
        layerByteCounts = Array(repeating: 0, count: layers?.decoderCount ?? 0)
        var pattern: [UInt8] = [], last = -1
        for index in tensors.indices {
            let layer = read(tensors[index].name, into: &pattern)
            let kind = kind(of: pattern, after: last, at: index)
            last = kind
            let byteCount = tensors[index].byteCount
            kinds[kind].count += 1
            kinds[kind].elementCount += tensors[index].count
            kinds[kind].byteCount += byteCount
            if let layer, layer < layerByteCounts.count { layerByteCounts[layer] += byteCount }
            add(tensors[index].dtype, byteCount)
        }
    }

    /// The name of the kind of a tensor.
    static func pattern(of name: String) -> String {
        name.split(separator: ".", omittingEmptySubsequences: false)
            .map { $0.isEmpty || !$0.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? String($0) : "*" }.joined(separator: ".")
    }

    private mutating func add(_ dtype: DType, _ byteCount: Int) {
        guard let index = types.firstIndex(where: { $0.dtype == dtype }) else {
            types.append((dtype, 1, byteCount))
            return
        }
        types[index].count += 1
        types[index].byteCount += byteCount
    }

    /// Fills a buffer with the name of a kind.
    ///
    /// - Returns: the layer of the name; `nil` outside the layers.
    private func read(_ name: String, into pattern: inout [UInt8]) -> Int? {
        pattern.removeAll(keepingCapacity: true)
        var name = name, layer: Int?
        name.withUTF8 { name in
            var start = 0
            while start <= name.count {
                var end = start, number = 0, isNumber = true
                while end < name.count, name[end] != UInt8(ascii: ".") {
                    isNumber = isNumber && 0x30...0x39 ~= name[end] && end - start < 9
                    if isNumber { number = number * 10 + Int(name[end] - 0x30) }
                    end += 1
                }
                if isNumber, end > start {
                    if start == prefix.count, layer == nil, !prefix.isEmpty, name.starts(with: prefix) {
                        layer = number
                    }
                    pattern.append(UInt8(ascii: "*"))
                } else {
                    pattern.append(contentsOf: name[start..<end])
                }
                if end < name.count { pattern.append(UInt8(ascii: ".")) }
                start = end + 1
            }
        }
        return layer
    }

    private mutating func kind(of pattern: [UInt8], after last: Int, at index: Int) -> Int {
        if last >= 0, next[last] >= 0, patterns[next[last]] == pattern { return next[last] }
        var hasher = Hasher()
        pattern.withUnsafeBytes { hasher.combine(bytes: $0) }
        let hash = hasher.finalize()
        var kind = found[hash]?.first { patterns[$0] == pattern }
        if kind == nil {
            kind = kinds.count
            found[hash, default: []].append(kinds.count)
            kinds.append(Kind(name: String(decoding: pattern, as: UTF8.self), first: index))
            patterns.append(pattern)
            next.append(-1)
        }
        if last >= 0, let kind { next[last] = kind }
        return kind ?? 0
    }
}
