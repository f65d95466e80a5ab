internal import Checkpoints
internal import Formats

/// Finds tensors that both checkpoints hold under different names, by hash.
struct RenameSearch {
    /// What two tensors must have in common to be equal.
    private struct Key: Hashable {
        let shape: [Int]
        let dtype: DType
        let digest: Digest
    }

    /// A tensor, converted to the type of the comparison.
    private struct Candidate {
        let index: Int
        let tensor: Tensor
    }

    /// Pairs of indices in two lists, in the order of the second.
    ///
    /// F32, F16 and BF16 tensors of one shape with several types are compared as F32: one file may store norms in a
    /// wider type.
    static func matches(
        _ a: [Tensor], _ b: [Tensor], threads: Int
    ) throws(CheckpointError) -> [(a: Int, b: Int)] {
        let types = plainTypes(a + b)
        var sources = try candidates(a, types)
        var targets = try candidates(b, types)
        let offered = Set(sources.map(kind)), wanted = Set(targets.map(kind))
        sources.removeAll { !wanted.contains(kind($0)) }
        targets.removeAll { !offered.contains(kind($0)) }
        let digests = try Hashing(threads: threads).digests(of: (sources + targets).map(\.tensor))
        var places: [Key: [Int]] = [:]
        // Reversed, so that the first is taken first.
        for (source, digest) in zip(sources, digests).reversed() {
            places[key(source, digest), default: []].append(source.index)
        }
        var result: [(a: Int, b: Int)] = []
        for (target, digest) in zip(targets, digests.dropFirst(sources.count)) {
            if let index = places[key(target, digest)]?.popLast() { result.append((index, target.index)) }
        }
        return result
    }

    /// The F32, F16 and BF16 types that occur with each shape.
    private static func plainTypes(_ tensors: [Tensor]) -> [[Int]: Set<DType>] {
        var types: [[Int]: Set<DType>] = [:]
        for tensor in tensors where tensor.dtype.isPlainFloat {
            types[tensor.shape, default: []].insert(tensor.dtype)
        }
        return types
    }

    private static func candidates(
        _ tensors: [Tensor], _ types: [[Int]: Set<DType>]
    ) throws(CheckpointError) -> [Candidate] {
        var result: [Candidate] = []
        for (index, tensor) in tensors.enumerated() where tensor.byteCount > 0 {
            let widens = tensor.dtype.isPlainFloat && types[tensor.shape, default: []].count > 1
            let compared = widens ? try tensor.recoded(as: .f32, file: "") : tensor
            result.append(Candidate(index: index, tensor: compared))
        }
        return result
    }

    /// The shape and the type as one key.
    private static func kind(_ candidate: Candidate) -> String { "\(candidate.tensor.dtype) \(candidate.tensor.shape)" }

    private static func key(_ candidate: Candidate, _ digest: Digest) -> Key {
        Key(shape: candidate.tensor.shape, dtype: candidate.tensor.dtype, digest: digest)
    }
}
