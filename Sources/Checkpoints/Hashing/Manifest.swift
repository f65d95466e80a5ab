public import Formats

/// The tensors of a checkpoint with their hashes, to verify it later.
public struct Manifest: Sendable, Equatable {
    /// One tensor.
    public struct Entry: Sendable, Equatable {
        /// Its name, as the file spells it.
        public let name: String
        /// Its type.
        public let dtype: DType
        /// Its shape, outermost first.
        public let shape: [Int]
        /// The hash of its bytes.
        public let digest: Digest

        /// The bytes of the tensor; the sizes were checked before.
        public var byteCount: Int { Tensor.byteCount(dtype: dtype, shape: shape) ?? 0 }

        /// Whether both entries have the same name, type, shape and hash.
        public static func == (a: Entry, b: Entry) -> Bool {
            ExactString(a.name) == ExactString(b.name) && a.dtype == b.dtype && a.shape == b.shape
                && a.digest == b.digest
        }
    }

    /// The algorithm of all hashes.
    public let algorithm: HashAlgorithm
    /// The total hash.
    ///
    /// With XXH3 it is the hash of the entries in order of their names, independent of their order in the file and of
    /// the container. With XXH64 it is the hash of all bytes in file order, as in llama-gguf-hash.
    public let total: Digest
    /// The tensors, in the order of the file.
    public let entries: [Entry]

    /// Hashes all tensors of a checkpoint, whether it is a file or only planned.
    ///
    /// - Parameters:
    ///   - checkpoint: the tensors, in the order of the entries.
    ///   - algorithm: the hash of each tensor, and of the total.
    ///   - threads: how many threads read and hash; the result does not depend on it.
    ///   - progress: called with the bytes done and the bytes in all, from any thread.
    /// - Throws: when an input cannot be read, or changes meanwhile.
    public init(
        _ checkpoint: Checkpoint, algorithm: HashAlgorithm = .xxh3_128, threads: Int,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) {
        let hashing = Hashing(algorithm, threads: threads, progress: progress)
        let digests: [Digest]
        var whole: Digest?
        switch algorithm {
        case .xxh3_128: digests = try hashing.digests(of: checkpoint.tensors)
        case .xxh64: (digests, whole) = try hashing.digestsAndWhole(of: checkpoint.tensors)
        }
        try checkpoint.checkUnchanged()
        self.algorithm = algorithm
        entries = zip(checkpoint.tensors, digests).map { tensor, digest in
            Entry(name: tensor.name, dtype: tensor.dtype, shape: tensor.shape, digest: digest)
        }
        total = whole ?? Manifest.total(of: entries)
    }

    /// A manifest that was read and checked.
    init(algorithm: HashAlgorithm, total: Digest, entries: [Entry]) {
        self.algorithm = algorithm
        self.total = total
        self.entries = entries
    }

    /// The hash of a line for each entry, in order of the names' bytes: `HASH TYPE SHAPE BYTES NAME`, where SHAPE is
    /// `2x3` and BYTES is the length of the name, so that no name can pass for two lines.
    static func total(of entries: [Entry]) -> Digest {
        let hash = StreamHash(.xxh3_128)
        for entry in entries.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
            let shape = entry.shape.map(String.init).joined(separator: "x")
            hash.update("\(entry.digest) \(entry.dtype) \(shape) \(entry.name.utf8.count) \(entry.name)\n")
        }
        return hash.digest
    }
}
