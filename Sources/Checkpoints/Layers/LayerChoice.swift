package import Formats

/// Decides which of the numbered tensors are the layers, by what the configuration states and never by how many there
/// are.
package struct LayerChoice: Sendable {
    /// All stacks of numbered tensors.
    package let stacks: [LayerStack]
    /// The layer counts that the configuration states.
    package let counts: [StatedCount]
    private let config: JSONObject?
    private let metadata: GGUFMetadata?
    private let prefix: String?
    private let file: String

    /// Looks at the tensors and the configuration of a checkpoint.
    package init(_ checkpoint: Checkpoint) {
        stacks = LayerStack.all(count: checkpoint.tensors.count) { checkpoint.tensors[$0].name }
        config = checkpoint.config
        if case .gguf(let metadata) = checkpoint.container { self.metadata = metadata } else { metadata = nil }
        counts = config.map(StatedCount.all) ?? []
        prefix = checkpoint.layerPrefix
        file = checkpoint.path
    }

    /// What the numbered tensors are.
    package enum Outcome: Sendable {
        /// The layers.
        case found(LayerPattern)
        /// No tensor is numbered, or nothing shows that the numbers are layers.
        case none
        /// Several stacks may be meant.
        case ambiguous([LayerStack])
        /// A layer is missing.
        case torn(LayerStack)
    }

    /// The layers; `nil` when there are none.
    ///
    /// - Throws: when several stacks are possible, or a layer is missing.
    package func pattern() throws(CheckpointError) -> LayerPattern? {
        switch try outcome() {
        case .found(let pattern): return pattern
        case .none: return nil
        case .ambiguous(let stacks):
            let key =
                counts(of: stacks[0]).first.flatMap { count in
                    count.value.map { value in
                        let location = count.path.isEmpty ? "" : " in \(count.path.joined(separator: "."))"
                        return "; \(count.key)\(location) is \(value)"
                    }
                } ?? ""
            throw CheckpointError(
                file: file, "has more than one stack of layers: \(LayerChoice.words(stacks))\(key)",
                hint: "choose one with --layer-prefix, for example --layer-prefix \(stacks[0].prefix.dropLast())")
        case .torn(let stack): throw torn(stack)
        }
    }

    /// The error for a stack with a hole.
    package func torn(_ stack: LayerStack) -> CheckpointError {
        let missing = stack.missing ?? stack.count
        return CheckpointError(
            file: file, "layer \(missing) of \(stack.count) is missing: no tensor is named \(stack.prefix)\(missing).…")
    }

    /// Decides what the numbered tensors are.
    ///
    /// - Throws: when the prefix that was chosen is that of no stack.
    package func outcome() throws(CheckpointError) -> Outcome {
        if let prefix {
            let wanted = prefix.hasSuffix(".") ? prefix : prefix + "."
            guard let stack = stacks.first(where: { $0.prefix.utf8.elementsEqual(wanted.utf8) }) else {
                throw CheckpointError(
                    file: file, "has no tensors named \(wanted)0.…; numbered are \(LayerChoice.words(stacks))")
            }
            return outcome(of: stack)
        }
        if metadata?.architecture == "clip" { return .none }
        let own = stacks.filter { !isOther($0) }
        // A part beside the language model counts only where nothing else has layers.
        let stated = (own.isEmpty ? stacks : own).filter(isStated)
        let fitting = stated.filter { $0.missing == nil }
        if fitting.count > 1 { return .ambiguous(fitting) }
        if let stack = fitting.first ?? stated.first { return outcome(of: stack) }
        let dense = own.filter { $0.missing == nil }
        let long = dense.filter { $0.count > 1 }
        let rest = long.isEmpty ? dense : long
        if rest.count > 1 { return .ambiguous(rest) }
        if let stack = rest.first { return outcome(of: stack) }
        // If layers are counted and no other tensors are numbered, most numbers from 0 are layers, with a gap.
        let counted = metadata != nil || counts.contains { $0.owner == .language }
        guard counted, let stack = own.first(where: { $0.count > 2 && $0.layers.count > $0.count / 2 }) else {
            return .none
        }
        return .torn(stack)
    }

    private func outcome(of stack: LayerStack) -> Outcome {
        if stack.missing != nil { return .torn(stack) }
        return .found(LayerPattern(prefix: stack.prefix, count: stack.count, predictorCount: predictorCount(in: stack)))
    }

    private static func words(_ stacks: [LayerStack]) -> String {
        stacks.isEmpty
            ? "none" : stacks.map { "\($0.prefix.dropLast()) (\($0.layers.count))" }.joined(separator: ", ")
    }

    /// How many of the last layers are modules for multi-token prediction.
    private func predictorCount(in stack: LayerStack) -> Int {
        let found: Int
        if let metadata {
            let stated = stack.prefix == "blk." ? metadata.setting(LayerSettings.known.counts.ggufPredictors)?.int : nil
            let blocks = metadata.setting("block_count")?.int ?? stack.count
            found = max(0, stated ?? 0) - max(0, max(0, blocks) - stack.count)
        } else {
            found =
                counts(of: stack).compactMap { count in
                    count.value.flatMap { value in
                        value >= 0 && (0...count.predictorCount).contains(stack.count - value)
                            ? stack.count - value : nil
                    }
                }.max() ?? 0
        }
        return min(max(0, found), stack.count - 1)
    }

    // MARK: stated counts of a stack

    /// The stated counts of a stack.
    package func counts(of stack: LayerStack) -> [StatedCount] {
        counts(ofPrefix: stack.prefix, isOther: isOther(stack))
    }

    /// The stated counts of a pattern.
    package func counts(of pattern: LayerPattern) -> [StatedCount] {
        let stack = stacks.first { $0.prefix == pattern.prefix }
        return counts(ofPrefix: pattern.prefix, isOther: stack.map(isOther) ?? false)
    }

    private func counts(ofPrefix prefix: String, isOther: Bool) -> [StatedCount] {
        let language = counts.filter { $0.owner == .language }
        let side = LayerChoice.side(of: prefix)
        if let side {
            let sided = language.filter { $0.side == side && $0.value != nil }
            // If a configuration counts the decoder separately, the other counts beside it are for the encoder.
            let mirrors =
                side == .decoder
                ? []
                : language.filter { count in
                    count.side == nil && language.contains { $0.path == count.path && $0.side != nil }
                }
            if !sided.isEmpty || !mirrors.isEmpty { return sided + mirrors }
        }
        if isOther {
            return counts.filter { count in
                guard case .other(let word) = count.owner else { return false }
                return LayerChoice.has(prefix, word: word)
            }
        }
        let plain = language.filter { $0.side == nil && $0.value != nil }
        if !plain.isEmpty { return plain }
        let sided = language.filter { $0.side == .decoder && $0.value != nil }
        if !sided.isEmpty, side == nil { return sided }
        return counts.filter { $0.value != nil && isUnknown($0.owner) && $0.side == nil }
    }

    /// Whether a part is not one of the known parts beside a language model.
    private func isUnknown(_ owner: StatedCount.Owner) -> Bool {
        guard case .other(let word) = owner else { return false }
        return !LayerSettings.known.counts.otherWords.contains { word.hasPrefix($0) }
    }

    /// The half of an encoder-decoder model that a prefix names.
    package static func side(of prefix: String) -> StatedCount.Side? {
        let components = prefix.split(separator: ".")
        if components.contains(where: { $0 == "decoder" || $0 == "dec" }) { return .decoder }
        return components.contains(where: { $0 == "encoder" || $0 == "enc" }) ? .encoder : nil
    }

    /// Whether the model has an encoder and a decoder, so that neither is "the layers".
    package var isEncoderDecoder: Bool {
        if config?["is_encoder_decoder"] == .bool(true) { return true }
        let language = counts.filter { $0.owner == .language }
        return language.contains { $0.side == .encoder } && language.contains { $0.side == .decoder }
    }

    /// Whether the configuration states as many layers as a stack has, or would have without a hole.
    package func isStated(_ stack: LayerStack) -> Bool {
        if let metadata {
            guard let key = LayerSettings.known.counts.gguf[stack.prefix], let value = count(key, metadata), value >= 0
            else {
                return false
            }
            let predictors = max(0, metadata.setting(LayerSettings.known.counts.ggufPredictors)?.int ?? 0)
            return (0...predictors).contains(value - stack.count)
        }
        return counts(of: stack).contains { count in
            guard let value = count.value, value >= 0 else { return false }
            return (0...count.predictorCount).contains(stack.count - value)
        }
    }

    /// The layer count under a GGUF key; by default a decoder has as many as the encoder.
    private func count(_ key: String, _ metadata: GGUFMetadata) -> Int? {
        metadata.setting(key)?.int ?? metadata.setting("block_count")?.int
    }

    // MARK: parts beside the language model

    /// Whether the prefix of a stack names a part beside the language model: a vision tower, a projector.
    package func isOther(_ stack: LayerStack) -> Bool {
        if metadata != nil { return LayerSettings.known.counts.gguf[stack.prefix] == nil }
        let keepsSides = isEncoderDecoder && LayerChoice.side(of: stack.prefix) != nil
        let configs = counts.compactMap { count -> String? in
            if case .other(let word) = count.owner { word } else { count.path.last.map(StatedCount.word) }
        }.filter { word in !["text", "llm", "language", "lm", "decoder", "thinker"].contains(word) }
        let words = LayerSettings.known.counts.otherWords + (keepsSides ? [] : configs.filter { $0 != "" })
        return words.contains { LayerChoice.has(stack.prefix, word: $0) }
    }

    /// Whether a prefix names a part beside a language model, by the words that are known.
    package static func namesOther(_ prefix: String) -> Bool {
        LayerSettings.known.counts.otherWords.contains { has(prefix, word: $0) }
    }

    /// Whether a component of a prefix is a word, or has it between underscores: `vision_tower`, `audio`.
    private static func has(_ prefix: String, word: String) -> Bool {
        var prefix = prefix, word = word
        let dot = UInt8(ascii: "."), underscore = UInt8(ascii: "_")
        return prefix.withUTF8 { prefix in
            word.withUTF8 { word in
                guard let first = word.first, word.count <= prefix.count else { return false }
                // A word with an underscore is a whole component.
                let isWhole = word.contains(underscore)
                func ends(_ index: Int) -> Bool {
                    !prefix.indices.contains(index) || prefix[index] == dot || (!isWhole && prefix[index] == underscore)
                }
                return (0...prefix.count - word.count).contains { start in
                    prefix[start] == first && ends(start - 1) && ends(start + word.count)
                        && word.indices.allSatisfy { prefix[start + $0] == word[$0] }
                }
            }
        }
    }
}
