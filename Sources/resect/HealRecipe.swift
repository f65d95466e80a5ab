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
        var options = ["--layers", dropped.texts.joined(separator: ","), "--method", method.text]
        for text in corpus { options += ["--corpus", text == "builtin" ? text : FileSystem.absolute(text)] }
        options += ["--heal-samples", "\(heal.healSamples)", "--context", "\(samples.context)"]
        options += ["--seed", "\(heal.seed)", "--ridge", heal.ridge.rawValue]
        options += ["--precision", samples.precision.precision.rawValue, "--mtp", predictors.mtp.rawValue]
        options += ["-o", "pruned"]
        if let prefix = stack.layerPrefix { options += ["--layer-prefix", prefix] }
        let given = Invocation.options(of: Heal.self)
        for name in TrainingOptions.names {
            // An option that repeats has a list of values.
            for value in given[name].map({ $0.array ?? [$0] }) ?? [] {
                if let text = value.string { options += ["--\(name)", text] }
            }
        }
        var recipe = TrainingRecipe(
            model, dropped: dropped, layerCount: model.layerCount,
            command: { [options] whole in ["heal", whole] + options }, corpus: corpus)
        if FileSystem.kind(of: output.output) == .folder { recipe.pruned = FileSystem.absolute(output.output) }
        recipe.values.context = samples.context
        recipe.values.seed = Int(truncatingIfNeeded: heal.seed & 0x7FFF_FFFF)
        training.apply(to: &recipe, of: model)
        return recipe
    }
}
