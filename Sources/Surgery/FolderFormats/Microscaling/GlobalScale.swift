internal import Checkpoints
internal import Formats
internal import Kernels
internal import Synchronization
internal import Weights

/// The scale shared by weights that runtimes fuse, such as the queries, keys and values of a layer. It scales the
/// largest magnitude to 448 * 6, the product of the maxima of E4M3 and E2M1, and is computed when the first row is
/// requested.
final class GlobalScale: Sendable {
    private let members: [Tensor]
    private let file: String
    private let found = Mutex<Float?>(nil)

    /// The scale of these weights.
    init(_ members: [Tensor], file: String) {
        self.members = members
        self.file = file
    }

    /// The divisor of the group scales.
    func value() throws(CheckpointError) -> Float {
        // Other threads wait, so the weights are read once.
        let result: Result<Float, CheckpointError> = found.withLock { found in
            if let found { return .success(found) }
            return Result { () throws(CheckpointError) in
                let value = GlobalScale.divisor(try largest())
                found = value
                return value
            }
        }
        return try result.get()
    }

    private func largest() throws(CheckpointError) -> Float {
        var largest: Float = 0
        for tensor in members {
            try tensor.forEachValues(of: 0..<tensor.count) { (piece, part) throws(CheckpointError) in
                var found: Float = 0
                FloatCodes.largest(piece, count: part.count, block: part.count, into: &found)
                if !found.isFinite, let refusal = tensor.codeRefusal(of: piece, elements: part, file: file) {
                    throw refusal
                }
                largest = max(largest, found)
            }
        }
        return largest
    }

    /// 1 when the quotient is not finite, as for weights that are all zero. PyTorch divides a scalar by a tensor in
    /// these two steps.
    private static func divisor(_ largest: Float) -> Float {
        let divisor = 1 / max(largest, .leastNormalMagnitude) * (448 * 6)
        return divisor.isFinite ? divisor : 1
    }
}

/// The global scales of the weights of a checkpoint.
final class GlobalScales: Sendable {
    private let known = Mutex<[ExactString: GlobalScale]>([:])

    /// The scale of the weight X.weight.
    func scale(of weight: Tensor, in checkpoint: Checkpoint) -> GlobalScale {
        known.withLock { known in
            if let scale = known[ExactString(weight.name)] { return scale }
            let members = GlobalScales.names(of: weight.name).compactMap { name in
                name == weight.name ? weight : checkpoint.tensor(named: name)
            }
            let scale = GlobalScale(members, file: checkpoint.path)
            for member in members { known[ExactString(member.name)] = scale }
            return scale
        }
    }

    /// The names of all weights that share their scale with this one.
    private static func names(of weight: String) -> [String] {
        ModuleKinds.known.together(with: String(weight.dropLast(".weight".count))).map { $0 + ".weight" }
    }
}
