public import Checkpoints
internal import Formats

/// The comparison of a checkpoint with another one or with a manifest.
public struct Verification: Sendable {
    /// A tensor that differs.
    public struct Finding: Sendable, Equatable {
        /// Its name, in the spelling of the other side when that has it.
        public let name: String
        /// The difference.
        public let problem: String
    }

    /// All differences; empty when there are none.
    public private(set) var findings: [Finding] = []
    /// The number of tensors with equal bytes.
    public private(set) var sameBytes = 0
    /// The number of tensors with the same values in another form, such as BF16 stored as F32.
    public private(set) var sameValues = 0

    /// Why names could not be translated, when the manifest has none of the checkpoint's names and may be of another
    /// container.
    public private(set) var untranslated: CheckpointError?

    /// Whether both have the same tensors with the same values.
    public var isEqual: Bool { findings.isEmpty }

    /// The number of tensors compared, including missing ones.
    public var count: Int { findings.count + sameBytes + sameValues }

    /// Compares the tensors of two checkpoints, of any containers, by name and value. Configurations are not compared.
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
            case .bytes where !pair.isDecoded: sameBytes += 1
            case .bytes, .values: sameValues += 1
            case .none: findings.append(Finding(name: pair.b.name, problem: Verification.problem(pair)))
            }
        }
        for source in checkpoint.sources + other.sources { try source.checkUnchanged() }
        addAbsent(missing: pairing.onlyB.map(\.name), unexpected: pairing.onlyA.map(\.name))
    }

    /// Compares a checkpoint with a manifest, which may be of another container.
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
            // A narrower type may have rounded the values; then they differ from the manifest's.
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
            ? "has the type \(dtype); expected \(wanted)" : "has the shape \(shape); expected \(wantedShape)"
    }

    /// The tensor in the type of an entry; `nil` when the shape differs, or the types cannot have equal values.
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
    /// Whether values of this type can equal those of another type: F32, F16, BF16.
    var isPlainFloat: Bool { self == .f32 || self == .f16 || self == .bf16 }
}
