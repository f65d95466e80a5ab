public import Checkpoints
public import Formats

/// The differences between two checkpoints, from the first to the second.
public struct CheckpointDifference: Sendable {
    /// A tensor with the same name and other values.
    public struct Changed: Sendable {
        /// Its name.
        public let name: String
        /// Its type before and after.
        public let dtypes: (from: DType, to: DType)
        /// Its shape before and after.
        public let shapes: (from: [Int], to: [Int])
        /// The distance between the values; `nil` when they cannot be compared.
        public let distance: TensorDistance?
    }

    /// A tensor with the same values under another name.
    public struct Renamed: Sendable {
        /// Its name before.
        public let from: String
        /// Its name after.
        public let to: String
        /// Its type before and after; they may differ.
        public let dtypes: (from: DType, to: DType)
    }

    /// A tensor with the same values in another type.
    public struct Retyped: Sendable {
        /// Its name.
        public let name: String
        /// Its type before and after.
        public let dtypes: (from: DType, to: DType)
    }

    /// Names that only the second has.
    public private(set) var added: [String] = []
    /// Names that only the first has.
    public private(set) var removed: [String] = []
    /// Tensors with other values.
    public private(set) var changed: [Changed] = []
    /// Tensors with other names.
    public private(set) var renamed: [Renamed] = []
    /// Tensors with other types and the same values.
    public private(set) var retyped: [Retyped] = []
    /// Differences in metadata and other files; `nil` when the containers differ, so that these cannot be compared.
    public let metadata: MetadataDifference?

    /// Whether the checkpoints are equal.
    public var isEmpty: Bool {
        added.isEmpty && removed.isEmpty && changed.isEmpty && renamed.isEmpty && retyped.isEmpty
            && metadata?.isEmpty ?? true
    }

    /// Compares two checkpoints. Tensors with equal bytes are not decoded, and only tensors without a counterpart of
    /// the same name are hashed.
    ///
    /// - Throws: when a file cannot be read, or names cannot be translated from one container to the other.
    public init(
        from a: Checkpoint, to b: Checkpoint, threads: Int,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) {
        metadata = MetadataDifference(from: a, to: b)
        let (tensors, others) = try CommonNames.tensors(a, b)
        let pairing = Pairing(tensors, others)
        var different: [TensorPair] = []
        for (pair, sameness) in zip(pairing.pairs, try pairing.sameness(threads: threads, progress: progress)) {
            switch sameness {
            case .bytes: break
            case .values: retyped.append(Retyped(name: pair.b.name, dtypes: (pair.a.dtype, pair.b.dtype)))
            case .none: different.append(pair)
            }
        }
        let changedPairs = try sort(different, pairing, threads: threads)
        let distances = try TensorPair.each(changedPairs, threads: threads) { (pair) throws(CheckpointError) in
            try pair.distance()
        }
        changed = zip(changedPairs, distances).map { pair, distance in
            Changed(
                name: pair.b.name, dtypes: (pair.a.dtype, pair.b.dtype), shapes: (pair.a.shape, pair.b.shape),
                distance: distance)
        }
        for source in a.sources + b.sources { try source.checkUnchanged() }
    }

    /// Finds the renamed tensors among the added, removed and changed ones.
    ///
    /// - Returns: the pairs with the same name and other values.
    private mutating func sort(
        _ different: [TensorPair], _ pairing: Pairing, threads: Int
    ) throws(CheckpointError) -> [TensorPair] {
        // A tensor whose name now belongs to another one may itself have been renamed, as layers behind a cut are.
        let gone = pairing.onlyA + different.map(\.a)
        let new = pairing.onlyB + different.map(\.b)
        let matches = try RenameSearch.matches(gone, new, threads: threads)
        for match in matches {
            renamed.append(
                Renamed(
                    from: gone[match.a].name, to: new[match.b].name,
                    dtypes: (gone[match.a].dtype, new[match.b].dtype)))
        }
        let moved = Set(matches.map(\.a)), arrived = Set(matches.map(\.b))
        removed = pairing.onlyA.indices.filter { !moved.contains($0) }.map { pairing.onlyA[$0].name }
        added = pairing.onlyB.indices.filter { !arrived.contains($0) }.map { pairing.onlyB[$0].name }
        var changed: [TensorPair] = []
        for (index, pair) in different.enumerated() {
            let isMoved = moved.contains(pairing.onlyA.count + index)
            let isArrived = arrived.contains(pairing.onlyB.count + index)
            if !isMoved, !isArrived { changed.append(pair) }
            if !isMoved, isArrived { removed.append(pair.a.name) }
            if isMoved, !isArrived { added.append(pair.b.name) }
        }
        return changed
    }
}
