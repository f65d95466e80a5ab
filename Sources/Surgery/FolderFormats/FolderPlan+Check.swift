public import Checkpoints

extension FolderPlan {
    /// Refuses to round weights a second time, and to leave many weights unquantized, unless that is allowed.
    ///
    /// - Parameters:
    ///   - type: the format of the plan.
    ///   - checkpoint: the model that is quantized, for messages.
    ///   - allowsRequantize: whether weights may be rounded again that are quantized already.
    ///   - allowsPlain: whether more than a tenth of the elements may stay unquantized.
    public func check(
        _ type: FolderType, of checkpoint: Checkpoint, allowsRequantize: Bool = false, allowsPlain: Bool = false
    ) throws(CheckpointError) {
        if !allowsRequantize, let first = firstRounded {
            throw CheckpointError(
                file: checkpoint.path, tensor: first,
                "is already quantized, and \(type.rawValue) cannot store its values as they are: it would be rounded again",
                hint: "quantize the original, or use --allow-requantize")
        }
        guard !allowsPlain, plainShare > FolderPlan.largestPlainShare, let first = obstacles.first else { return }
        throw CheckpointError(
            file: checkpoint.path,
            "\(obstacles.count) of \(obstacles.count + quantizedCount) weights would stay unquantized, "
                + "\((100 * plainShare).fixed(0)) % of the elements that \(type.rawValue) quantizes; "
                + "\(first.tensor): \(first.reason)",
            hint: "--allow-plain permits it")
    }

    /// Above this share of unquantized weights the user has to agree.
    private static let largestPlainShare = 0.1

    /// One line for each reason why weights cannot be quantized.
    public var obstacleNotes: [String] {
        var groups: [(reason: String, tensors: [String])] = []
        for (tensor, reason) in obstacles {
            if let index = groups.firstIndex(where: { $0.reason == reason }) {
                groups[index].tensors.append(tensor)
            } else {
                groups.append((reason, [tensor]))
            }
        }
        return groups.map { reason, tensors in
            let which = tensors.count == 1 ? tensors[0] : "\(tensors.count) tensors (\(tensors[0]), …)"
            return "\(which): \(tensors.count == 1 ? "stays" : "stay") unquantized, \(reason)"
        }
    }
}
