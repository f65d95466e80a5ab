internal import Checkpoints
internal import Surgery

extension Checkpoint {
    /// Tells which runs of layers the architecture lets be cut. Of a model with more than `mostChecked` layers every run is
    /// taken to be: to plan all cuts would take longer than a user waits.
    var cutCheck: (Range<Int>) -> Bool {
        guard layerCount <= Checkpoint.mostChecked else { return { _ in true } }
        return { layers in (try? CutLayers(layers: layers).apply(to: self)) != nil }
    }

    private static let mostChecked = 40
}
