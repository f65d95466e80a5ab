extension ModelPlan {
    /// Whether another plan computes the same, whatever the order of the rotary pairs and whether frequencies are listed
    /// or follow from parameters.
    ///
    /// - Parameters:
    ///   - contextLength: the longest context that the rotary embeddings are compared for.
    ///   - ignoresWindows: whether a plan without windows counts as the same.
    package func computesSame(as other: ModelPlan, contextLength: Int, ignoresWindows: Bool) -> Bool {
        guard hidden == other.hidden, vocabulary == nil || other.vocabulary == nil || vocabulary == other.vocabulary,
            embeddingScale == other.embeddingScale, outputNorm == other.outputNorm, logitScale == other.logitScale,
            logitCap == other.logitCap, layers.count == other.layers.count
        else { return false }
        for (mine, theirs) in zip(layers, other.layers) {
            guard (ignoresWindows ? mine.withoutWindow : mine) == (ignoresWindows ? theirs.withoutWindow : theirs)
            else { return false }
        }
        let tables = [(rotary, other.rotary)] + (ignoresWindows ? [] : [(windowedRotary, other.windowedRotary)])
        return tables.allSatisfy { mine, theirs in
            [1, contextLength].allSatisfy { turnSame(mine, theirs, $0) }
        }
    }

    private func turnSame(_ a: RotaryPlan?, _ b: RotaryPlan?, _ contextLength: Int) -> Bool {
        guard let a, let b else { return (a == nil) == (b == nil) }
        let (mine, theirs) = (a.angles(contextLength: contextLength), b.angles(contextLength: contextLength))
        func near(_ a: Double, _ b: Double) -> Bool { abs(a - b) <= 1e-5 * max(abs(a), abs(b)) }
        return mine.frequencies.count == theirs.frequencies.count
            && near(Double(mine.magnitude), Double(theirs.magnitude))
            && zip(mine.frequencies, theirs.frequencies).allSatisfy(near)
    }
}

extension LayerPlan {
    fileprivate var withoutWindow: LayerPlan {
        var result = self
        result.attention.window = nil
        return result
    }
}
