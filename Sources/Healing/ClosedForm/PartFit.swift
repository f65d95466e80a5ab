internal import Analysis
internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Weights

/// Fits a part of a layer: its product, and the norm behind it where there is one.
final class PartFit {
    private let start: HealingStart
    private let part: StreamPart
    private let layer: Int
    private let linear: Linear
    private let norm: Norm?
    private let scale: Float
    private let keptFits: KeptFits?
    /// What an earlier run has fitted; `nil` where it did not come so far.
    private let kept: HealedWeights?
    /// Sums over the hidden states; `nil` where they are not needed any more.
    private let moments: FitMoments?

    /// A fit of nothing so far; `nil` where the part has no single product.
    ///
    /// - Parameter keptFits: what an earlier run has fitted, and where this fit is kept.
    init?(
        _ start: HealingStart, _ part: StreamPart, of layer: Int, _ keptFits: KeptFits?
    ) throws(CheckpointError) {
        guard let linear = start.model.product(part, of: layer) else { return nil }
        (self.start, self.part, self.layer, self.linear) = (start, part, layer, linear)
        norm = start.model.norm(behind: part, of: layer)
        scale = start.model.residualScale(of: layer)
        self.keptFits = keptFits
        let names = [linear.weight.name, norm?.weight?.name]
        // Weights of other layers would be taken for these.
        kept = try keptFits?.read(part, of: layer).flatMap { kept in
            kept.changes.allSatisfy { names.contains($0.name) && $0.layer == layer } ? kept : nil
        }
        moments =
            kept == nil
            ? try FitMoments(start, linear, behind: norm, scale: scale, threads: start.run.threads) : nil
    }

    /// Adds a batch of contexts.
    ///
    /// - Parameter rows: gives the rows of a batch.
    func add(
        _ batch: Range<Int>, _ rows: (_ batch: Range<Int>) throws(CheckpointError) -> FitRows
    ) throws(CheckpointError) {
        if let moments { try moments.add(batch, rows(batch)) }
    }

    /// Puts what is better on the contexts that judge into a model.
    ///
    /// - Parameter rows: gives the rows of a batch once more.
    func finish(
        _ fits: inout WeightFits, ridges: [Double], into model: inout DecoderModel,
        _ rows: @escaping (_ batch: Range<Int>) throws(CheckpointError) -> FitRows
    ) throws(CheckpointError) {
        guard let moments else { return try takeKept(&fits, into: &model) }
        try solve(moments, &fits, ridges: ridges, into: &model, rows)
        try keptFits?.write(fits.takePart(), part, of: layer, threads: start.run.threads)
    }

    /// Puts what an earlier run has fitted into a model.
    private func takeKept(_ fits: inout WeightFits, into model: inout DecoderModel) throws(CheckpointError) {
        guard let kept else { return }
        let normRole = norm.map { _ in model.normRole(behind: part) }
        let tensors = try fits.take(kept, inputs: linear.inputs) { name in
            name == linear.weight.name ? model.role(part, of: layer).rawValue : normRole
        }
        if let weight = tensors[linear.weight.name] {
            model.replace(part, of: layer, by: Linear(weight, bias: linear.bias))
        }
        if let norm, let name = norm.weight?.name, let weight = tensors[name] {
            model.replace(normBehind: part, of: layer, by: norm.with(weight: weight))
        }
        // They are kept already, and do not belong to the next part.
        _ = fits.takePart()
    }

    /// Solves for the product, and then for the norm behind it.
    private func solve(
        _ moments: FitMoments, _ fits: inout WeightFits, ridges: [Double], into model: inout DecoderModel,
        _ rows: @escaping (_ batch: Range<Int>) throws(CheckpointError) -> FitRows
    ) throws(CheckpointError) {
        let role = model.role(part, of: layer).rawValue
        guard let norm else {
            let fitted = try fits.fit(linear, role, of: layer, to: moments, ridges: ridges)
            return model.replace(part, of: layer, by: fitted)
        }
        let bias = try norm.bias?.floats() ?? []
        let weight = try norm.weight?.floats() ?? []
        func sums(_ linear: Linear, _ contexts: Range<Int>) throws(CheckpointError) -> NormSums {
            try self.sums(linear, norm, bias, contexts, rows)
        }
        func error(_ sums: NormSums) -> Double {
            sums.error(of: weight.isEmpty ? Array(repeating: 1, count: linear.outputs) : weight)
        }
        let judges = !start.judged.isEmpty
        var judged = judges ? try sums(linear, start.judged) : nil
        let fitted = try fits.fit(linear, role, of: layer, to: moments, ridges: ridges) {
            (fitted) throws(CheckpointError) in
            guard let before = judged else { return nil }
            let after = try sums(fitted, self.start.judged)
            let gain = 1 - error(after) / error(before)
            if gain > 0 { judged = after }
            return gain
        }
        model.replace(part, of: layer, by: fitted)
        guard let tensor = norm.weight else { return }
        let solved = try sums(fitted, start.fitted).solved(from: weight, ridge: WeightFits.normRidge)
        let gain = judged.map { 1 - $0.error(of: solved) / $0.error(of: weight) }
        let changed = try fits.take(
            solved, for: tensor, model.normRole(behind: part), of: layer, ridge: WeightFits.normRidge, gain: gain)
        model.replace(normBehind: part, of: layer, by: norm.with(weight: changed))
    }

    /// The sums for the norm's weight behind a product.
    private func sums(
        _ linear: Linear, _ norm: Norm, _ bias: [Float], _ contexts: Range<Int>,
        _ rows: (_ batch: Range<Int>) throws(CheckpointError) -> FitRows
    ) throws(CheckpointError) -> NormSums {
        var result = NormSums(channels: linear.outputs)
        let tokens = start.steps.contextsAtOnce * start.steps.contextLength
        let (normed, wanted) = (Scratch(floats: tokens * linear.outputs), Scratch(floats: tokens * linear.outputs))
        for batch in start.batches(contexts) {
            let rows = try rows(batch)
            try start.steps.write(linear, of: rows.inputs, into: normed.floats)
            norm.applyWithoutWeight(inPlace: rows.inputs.rows, normed.floats, threads: start.run.threads)
            rows.writeWay(into: wanted.floats, columns: linear.outputs, scale: scale)
            if !bias.isEmpty {
                for row in 0..<rows.inputs.rows {
                    for column in 0..<bias.count { wanted.floats[row * bias.count + column] -= bias[column] }
                }
            }
            result.add(normed.floats, wanted.floats, rows: rows.inputs.rows)
        }
        return result
    }
}
