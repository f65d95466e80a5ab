public import Checkpoints
internal import Formats

/// Whether a checkpoint holds what another one holds, or what a manifest says.
public struct Verification: Sendable {
    /// A tensor that is not as it should be.
    public struct Finding: Sendable, Equatable {
        /// Its name, as the other side spells it where it has one.
        public let name: String
        /// What is wrong with it.
        public let problem: String
    }

    /// What is wrong; empty when nothing is.
    public private(set) var findings: [Finding] = []
    /// How many tensors are the same to the byte.
    public private(set) var sameBytes = 0
    /// How many have another type with the same values: BF16 stored as F32, for instance.
    public private(set) var sameValues = 0

    /// Why the names could not be translated, when a manifest has none of the checkpoint's: it may be of another container.
    public private(set) var untranslated: CheckpointError?

    /// Whether the same tensors hold the same values.
    public var isEqual: Bool { findings.isEmpty }

    /// How many tensors were looked at, those that are missing included.
    public var count: Int { findings.count + sameBytes + sameValues }

    /// Compares two checkpoints, in whatever containers: the same names with the same values. Configurations are not looked at.
    ///
    /// - Throws: when a file cannot be read, or names cannot be translated from one container to the other.
    public init(
        _ checkpoint: Checkpoint, against other: Checkpoint, threads: Int,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) {
        let (tensors, others) = try CommonNames.tensors(checkpoint, other)
        let pairing = Pairing(tensors, others)
        for (pair, sameness) in zip(pairing.pairs, try pairing.sameness(threads: threads, progress: progress)) {
            switch sameness {
            case .bytes: sameBytes += 1
            case .values: sameValues += 1
            case .none: findings.append(Finding(name: pair.b.name, problem: Verification.problem(pair)))
            }
        }
        for source in checkpoint.sources + other.sources { try source.checkUnchanged() }
        addAbsent(missing: pairing.onlyB.map(\.name), unexpected: pairing.onlyA.map(\.name))
    }

    /// Holds a checkpoint against a manifest, one of another container included.
    ///
    /// - Throws: when a file cannot be read.
    public init(
        _ checkpoint: Checkpoint, against manifest: Manifest, threads: Int,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) throws(CheckpointError) {
        let (tensors, problem) = CommonNames.tensors(checkpoint, like: manifest.entries.map(\.name))
        untranslated = problem
        let entries = Dictionary(manifest.entries.map { (ExactString($0.name), $0) }, uniquingKeysWith: { a, _ in a })
        var candidates: [(tensor: Tensor, entry: Manifest.Entry)] = []
        for tensor in tensors {
            guard let entry = entries[ExactString(tensor.name)] else { continue }
            if let candidate = try Verification.stored(tensor, as: entry, file: checkpoint.path) {
                candidates.append((candidate, entry))
            } else {
                findings.append(
                    Finding(
                        name: entry.name,
                        problem: Verification.mismatch(tensor.dtype, tensor.shape, entry.dtype, entry.shape)))
            }
        }
        let hashing = Hashing(manifest.algorithm, threads: threads, progress: progress)
        let digests = try hashing.digests(of: candidates.map(\.tensor))
        let originals = Dictionary(tensors.map { (ExactString($0.name), $0) }, uniquingKeysWith: { a, _ in a })
        for (candidate, digest) in zip(candidates, digests) {
            guard digest == candidate.entry.digest, let original = originals[ExactString(candidate.entry.name)] else {
                findings.append(Finding(name: candidate.entry.name, problem: Verification.otherValues))
                continue
            }
            // A narrower type may have rounded: then the manifest's values are not those of the file.
            switch try TensorPair(a: original, b: candidate.tensor).sameness() {
            case .none: findings.append(Finding(name: candidate.entry.name, problem: Verification.otherValues))
            case .values: sameValues += 1
            case .bytes: sameBytes += 1
            }
        }
        for source in checkpoint.sources { try source.checkUnchanged() }
        let names = Set(tensors.map { ExactString($0.name) })
        addAbsent(
            missing: manifest.entries.map(\.name).filter { !names.contains(ExactString($0)) },
            unexpected: tensors.map(\.name).filter { entries[ExactString($0)] == nil })
    }

    private static let otherValues = "holds other values"

    private mutating func addAbsent(missing: [String], unexpected: [String]) {
        findings += missing.map { Finding(name: $0, problem: "is missing") }
        findings += unexpected.map { Finding(name: $0, problem: "is not expected") }
    }

    private static func problem(_ pair: TensorPair) -> String {
        if pair.a.shape == pair.b.shape, pair.a.dtype == pair.b.dtype || pair.hasValues { return otherValues }
        return mismatch(pair.a.dtype, pair.a.shape, pair.b.dtype, pair.b.shape)
    }

    private static func mismatch(_ dtype: DType, _ shape: [Int], _ wanted: DType, _ wantedShape: [Int]) -> String {
        shape == wantedShape
            ? "has the type \(dtype); \(wanted) is expected" : "has the shape \(shape); \(wantedShape) is expected"
    }

    /// The tensor in the type of an entry; `nil` when it has another shape, or a type whose values cannot be the same.
    private static func stored(
        _ tensor: Tensor, as entry: Manifest.Entry, file: String
    ) throws(CheckpointError) -> Tensor? {
        guard tensor.shape == entry.shape else { return nil }
        if tensor.dtype == entry.dtype { return tensor }
        guard tensor.dtype.isPlainFloat, entry.dtype.isPlainFloat else { return nil }
        return try tensor.recoded(as: entry.dtype, file: file)
    }
}

extension DType {
    /// Whether it is one of the types whose values can be the same as another's: F32, F16, BF16.
    var isPlainFloat: Bool { self == .f32 || self == .f16 || self == .bf16 }
}
