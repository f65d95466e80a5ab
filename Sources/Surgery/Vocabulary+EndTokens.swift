internal import Checkpoints
internal import Formats

extension Vocabulary {
    /// `eos_token_id` of a configuration: the number of the end token, or a list where several tokens end a generation.
    var endTokens: JSON? {
        guard let endID else { return nil }
        return otherEndIDs.isEmpty ? .int(endID) : .array(([endID] + otherEndIDs).map(JSON.int))
    }
}
