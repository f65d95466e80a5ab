public import Checkpoints
internal import Decoder
internal import Weights

extension TrainingSettings {
    /// Refuses numbers that no training can have.
    public func check() throws(CheckpointError) {
        let wrong: [(name: String, isWrong: Bool, what: String)] = [
            ("rank", rank < 1, "\(rank)"), ("alpha", !(alpha > 0 && alpha.isFinite), "\(alpha)"),
            ("rate", !(rate >= 0 && rate.isFinite), "\(rate)"), ("batch", batch < 1, "\(batch)"),
            ("steps", steps < 1, "\(steps)"), ("warmup", warmup < 0, "\(warmup)"),
            ("weightDecay", !(weightDecay >= 0 && weightDecay.isFinite), "\(weightDecay)"),
            ("dropout", !(0..<1 ~= dropout), "\(dropout)"), ("clipping", !(clipping > 0), "\(clipping)"),
            ("classes", classes < 1, "\(classes)"), ("evaluation", evaluation < 1, "\(evaluation)"),
            ("patience", patience ?? 1 < 1, "\(patience ?? 0)"), ("divergence", !(divergence > 1), "\(divergence)"),
        ]
        if let first = wrong.first(where: \.isWrong) {
            throw CheckpointError("a training cannot have the \(first.name) \(first.what)")
        }
        guard Set(targets).count == targets.count else {
            throw CheckpointError(
                "a training names a product twice: \(targets.map(\.rawValue).joined(separator: ", "))")
        }
    }

    /// Refuses a model that cannot be trained so.
    func check(_ model: DecoderModel) throws(CheckpointError) {
        try check()
        let file = model.checkpoint.path
        let trained = targets.filter { target in
            (0..<model.layerCount).contains { model.linear(.init(layer: $0, role: target.role)) != nil }
        }
        if trained.isEmpty {
            throw CheckpointError(
                file: file, "has no product \(targets.map(\.rawValue).joined(separator: ", ")) to train",
                hint: "--target q_proj,k_proj,v_proj,o_proj trains attention")
        }
        if let target = trained.first(where: { !model.isStoredWhole($0.role) }) {
            throw CheckpointError(
                file: file,
                "stores '\(target.rawValue)' transposed or joined with another weight, so an adapter of its own has no name"
            )
        }
        if teacher == .logits, classes >= model.vocabularyCount {
            throw CheckpointError(
                file: file, "has \(model.vocabularyCount.grouped) tokens; \(classes) classes of a teacher are too many")
        }
        let narrowest = targets.compactMap { model.linear(.init(layer: 0, role: $0.role)) }
            .map { min($0.inputs, $0.outputs) }.min()
        if let narrowest, rank > narrowest {
            throw CheckpointError(
                file: file, "has products of \(narrowest) values; adapters of rank \(rank) are too large")
        }
    }
}
