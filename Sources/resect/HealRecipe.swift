internal import Checkpoints
internal import Healing
internal import Surgery

extension Heal {
    /// Writes the folder of --recipe, if it is wanted.
    func writeRecipe(_ model: Checkpoint, _ dropped: LayerRuns) throws {
        guard let recipe, !output.dryRun else { return }
        try training(model, dropped).write(to: recipe)
        common.note("wrote the recipe \(recipe)")
    }

    /// What trains the healed model further, with a command that makes it again.
    private func training(_ model: Checkpoint, _ dropped: LayerRuns) -> TrainingRecipe {
        let texts = corpus.flatMap { ["--corpus", $0 == "builtin" ? $0 : FileSystem.absolute($0)] }
        let layers = dropped.texts.joined(separator: ",")
        var recipe = TrainingRecipe(
            model, dropped: dropped, layerCount: model.layerCount,
            command: { whole in
                ["heal", whole, "--layers", layers, "--method", method.text] + texts
                    + [
                        "--heal-samples", "\(heal.healSamples)", "--context", "\(samples.context)", "--seed",
                        "\(heal.seed)",
                    ]
                    + ["--ridge", heal.ridge.rawValue, "--precision", samples.precision.precision.rawValue]
                    + ["--mtp", predictors.mtp.rawValue, "-o", "pruned"]
                    + (stack.layerPrefix.map { ["--layer-prefix", $0] } ?? [])
            }, corpus: corpus)
        if FileSystem.kind(of: output.output) == .folder { recipe.pruned = FileSystem.absolute(output.output) }
        recipe.values.context = samples.context
        return recipe
    }
}
