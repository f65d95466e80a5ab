internal import Checkpoints
internal import Formats

/// Numbered tensors outside the layers. A list with one tensor per layer follows a cut or prevents it.
struct ListsOutside {
    private let layers: LayerCut
    /// The lists that follow, and the layer of tensor 0 in each.
    private var lists: [(prefix: String, first: Int)] = []

    /// Finds the lists among the tensors of a folder.
    ///
    /// - Throws: when a list has one tensor per layer and no rule.
    init(_ checkpoint: Checkpoint, _ layers: LayerCut) throws(CheckpointError) {
        self.layers = layers
        guard checkpoint.form != .gguf, layers.decoderCut > 0, layers.count > 1 else { return }
        let choice = LayerChoice(checkpoint)
        let names = checkpoint.tensors.map(\.name).filter { layers.pattern.layer(of: $0) == nil }
        // Parameters of a list have no suffix after their number.
        for stack in LayerStack.all(in: names.map { $0 + "." }) {
            if let rule = LayerSettings.known.listsOutside.first(where: { stack.prefix.isEnd($0.list) }) {
                guard stack.missing == nil, stack.count == layers.count - rule.first else {
                    throw refused(stack, "has \(stack.layers.count) tensors for \(layers.count) layers")
                }
                lists.append((stack.prefix, rule.first))
            } else if seemsByLayer(stack, choice, checkpoint.config ?? JSONObject()) {
                throw refused(
                    stack,
                    "has \(stack.count) tensors, which seems to depend on the \(layers.count) layers, and "
                        + "resect has no rule for it")
            }
        }
    }

    /// The name of a tensor outside the layers after the cut; `nil` when its layer is cut.
    ///
    /// - Throws: when the new number of its layer has no tensor in the list.
    func followed(_ name: String) throws(CheckpointError) -> String? {
        guard !lists.isEmpty, let parts = LayerName(name + "."),
            let list = lists.first(where: { $0.prefix.utf8.elementsEqual(parts.prefix.utf8) })
        else { return name }
        let number = parts.layer
        guard let after = layers.renumbered(number + list.first) else { return nil }
        guard after >= list.first else {
            throw layers.refused(
                name, "belongs to layer \(number + list.first), which would become layer \(after), which has none")
        }
        return String(Substring(parts.renumbered(after - list.first).utf8.dropLast()))
    }

    private func refused(_ stack: LayerStack, _ why: String) -> CheckpointError {
        layers.refused("\(stack.prefix)\(stack.layers.first ?? 0)", "belongs to a list that " + why)
    }

    /// Whether the length of a list depends on the number of layers.
    private func seemsByLayer(_ stack: LayerStack, _ choice: LayerChoice, _ config: JSONObject) -> Bool {
        let ours = layers.pattern
        guard stack.missing == nil, stack.count > 1, !choice.isOther(stack),
            !LayerSettings.known.unrelatedLists.contains(where: { stack.prefix.isEnd($0) })
        else { return false }
        if let side = LayerChoice.side(of: stack.prefix), let own = LayerChoice.side(of: ours.prefix), side != own {
            return false
        }
        let counts = choice.counts(of: ours).map(\.name)
        let own = choice.counts(of: stack).filter { $0.value == stack.count }
        // Layers of another part, with a count of their own.
        if stack.components.last == ours.listName, !own.contains(where: { counts.contains($0.name) }) { return false }
        var lengths: Set<Int> = [ours.count, layers.count - 1, layers.count, layers.count + 1]
        for count in choice.counts(of: ours) {
            for (key, value) in (config.object(at: count.path) ?? JSONObject()).members {
                guard LayerSettings.known.rule(key) == .period, let period = value.int, period > 1 else { continue }
                lengths.insert((layers.count - 1) / period + 1)
            }
        }
        return lengths.contains(stack.count)
    }
}

extension String {
    /// Whether a prefix of a list ends with these components.
    fileprivate func isEnd(_ components: String) -> Bool { ("." + self).hasSuffix("." + components + ".") }
}
