internal import Checkpoints
internal import Formats

extension Vocabulary {
    /// The vocabulary of a checkpoint, with its path in the error.
    init(of checkpoint: Checkpoint) throws(CheckpointError) {
        do throws(CheckpointError) {
            try self.init(checkpoint: checkpoint)
        } catch {
            var error = error
            error.file = error.file ?? checkpoint.path
            throw error
        }
    }

    /// How many tokens there are without placeholders at the end.
    var usedCount: Int {
        var count = tokens.count
        while count > 0, kinds[count - 1] == .unused { count -= 1 }
        return count
    }

    /// The first difference that gives texts other tokens than another vocabulary does; `nil` when there is none.
    ///
    /// A converter may pad a vocabulary with placeholders at its end; they make no difference.
    func difference(from other: Vocabulary) -> String? {
        let count = max(usedCount, other.usedCount)
        for id in 0..<count {
            let (ours, theirs) = (name(of: id), other.name(of: id))
            guard ours.map(ExactString.init) != theirs.map(ExactString.init) else { continue }
            func words(_ name: String?) -> String { name.map { "'\($0.escapingControls)'" } ?? "nothing" }
            return "token \(id) is \(words(ours)), there \(words(theirs))"
        }
        guard model == other.model else {
            return "it is of the kind '\(model.rawValue)', there '\(other.model.rawValue)'"
        }
        // Several names of pre-tokenizers stand for the same pattern.
        let patterns = (PreTokenizer.named(preTokenizer)?.pattern, PreTokenizer.named(other.preTokenizer)?.pattern)
        guard
            ExactString(preTokenizer) == ExactString(other.preTokenizer)
                || patterns.0 != nil && patterns.0 == patterns.1
        else {
            return "the pre-tokenizer is \(preTokenizer), there \(other.preTokenizer)"
        }
        // A GGUF file of SentencePiece's kind has scores in place of merges.
        let hasMerges = model == .byteLevelBPE || !merges.isEmpty && !other.merges.isEmpty
        guard !hasMerges || merges.count == other.merges.count else {
            return "it has \(merges.count.grouped) merges, there \(other.merges.count.grouped)"
        }
        for (rank, (ours, theirs)) in zip(merges, other.merges).enumerated()
        where
            ExactString(ours.left) != ExactString(theirs.left) || ExactString(ours.right) != ExactString(theirs.right)
        {
            return
                "merge \(rank) joins '\(ours.left)' and '\(ours.right)', there '\(theirs.left)' and '\(theirs.right)'"
        }
        guard beginning == other.beginning else {
            func words(_ id: Int?) -> String { id.map { "begins with token \($0)" } ?? "begins with no token" }
            return "a text \(words(beginning)), there it \(words(other.beginning))"
        }
        return nil
    }

    private func name(of id: Int) -> String? {
        guard id < tokens.count, kinds[id] != .unused else { return nil }
        // A folder has SentencePiece's symbol for spaces also in added tokens.
        return model == .byteLevelBPE ? tokens[id] : Vocabulary.withSpaces(tokens[id])
    }

    /// The BOS token, where the tokenizer puts it before a text.
    private var beginning: Int? { addsBeginning == true ? beginningID : nil }
}
