internal import Checkpoints
internal import Formats

extension Vocabulary {
    /// `eos_token_id` of a configuration: the end token, or a list when several tokens end generation.
    var endTokens: JSON? {
        guard let endID else { return nil }
        return otherEndIDs.isEmpty ? .int(endID) : .array(([endID] + otherEndIDs).map(JSON.int))
    }
}
