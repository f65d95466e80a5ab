/// The key-value pairs of a GGUF file, in order, each key once.
public struct GGUFMetadata: Sendable, Equatable {
    /// The pairs, in file order.
    public private(set) var pairs: [Pair] = []

    /// One key with its value.
    public struct Pair: Sendable, Equatable {
        /// The key.
        public let key: String
        /// The value.
        public var value: GGUFValue

        /// A pair.
        public init(key: String, value: GGUFValue) {
            self.key = key
            self.value = value
        }
    }

    /// Metadata without pairs.
    public init() {}

    private func index(of key: String) -> Int? {
        pairs.firstIndex { $0.key.utf8.elementsEqual(key.utf8) }
    }

    /// The value of a key. Setting keeps the position of an existing key, appends a new key, and removes with `nil`.
    public subscript(key: String) -> GGUFValue? {
        get { index(of: key).map { pairs[$0].value } }
        set {
            switch (index(of: key), newValue) {
            case (let index?, let value?): pairs[index].value = value
            case (let index?, nil): pairs.remove(at: index)
            case (nil, let value?): pairs.append(Pair(key: key, value: value))
            case (nil, nil): break
            }
        }
    }

    /// Appends a pair whose key is known to be new; a search for each of many keys would take quadratic time.
    mutating func append(newKey key: String, _ value: GGUFValue) {
        pairs.append(Pair(key: key, value: value))
    }

    /// `general.architecture`.
    public var architecture: String? { self["general.architecture"]?.string }

    /// The value of a key under the architecture's prefix: `setting("block_count")`.
    public func setting(_ key: String) -> GGUFValue? {
        architecture.flatMap { self["\($0).\(key)"] }
    }
}
