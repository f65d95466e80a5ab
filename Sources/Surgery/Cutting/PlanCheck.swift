internal import Checkpoints

extension Checkpoint {
    /// Holds what a cut model computes against what the whole one does: the plan of every layer that stays is the one that
    /// it had. A setting that does not follow a cut is found by its effect, whether a rule names it or not.
    ///
    /// - Throws: when a layer would compute otherwise. Models that are not run are not checked.
    func checkPlans(of whole: Checkpoint, _ cut: LayerCut) throws(CheckpointError) {
        guard whole.architecture?.layer != nil, let before = try? ModelPlan(whole) else { return }
        let after = try ModelPlan(self)
        let kept = cut.kept
        guard after.layers.count == kept.count else {
            throw CheckpointError(
                file: path, "has \(after.layers.count) layers after the cut instead of \(kept.count)")
        }
        for (index, layer) in kept.enumerated() where after.layers[index] != before.layers[layer] {
            throw CheckpointError(
                file: path, "layer \(layer) would compute otherwise as layer \(index), so the cut is refused",
                hint: "a setting that depends on the layer's number does not follow")
        }
        guard after.hidden == before.hidden, after.rotary == before.rotary, after.outputNorm == before.outputNorm else {
            throw CheckpointError(
                file: path, "a setting of the whole model would change with the cut, so it is refused")
        }
    }
}
