internal import Checkpoints

extension Checkpoint {
    /// Checks that every remaining layer keeps its computation plan. This finds a setting that does not follow the cut
    /// by its effect, whether or not a rule names it.
    ///
    /// - Throws: when a layer would compute something else. Models that resect does not run are not checked.
    func checkPlans(of whole: WholeModel, _ cut: LayerCut) throws(CheckpointError) {
        guard let before = whole.plan else { return }
        let after = try ModelPlan(self)
        let kept = cut.kept
        guard after.layers.count == kept.count else {
            throw CheckpointError(
                file: path, "has \(after.layers.count) layers after the cut instead of \(kept.count)")
        }
        for (index, layer) in kept.enumerated() where after.layers[index] != before.layers[layer] {
            throw CheckpointError(
                file: path, "layer \(layer) would compute something else as layer \(index), so the cut is refused",
                hint: "a setting that depends on the layer number cannot be updated")
        }
        guard after.hidden == before.hidden, after.rotary == before.rotary,
            after.windowedRotary == before.windowedRotary,
            after.outputNorm == before.outputNorm
        else {
            throw CheckpointError(
                file: path, "the cut would change a setting of the whole model, so it is refused")
        }
    }
}
