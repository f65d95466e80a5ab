internal import Formats

extension Vocabulary {
    /// This vocabulary with the special tokens that llama.cpp's converter sets for a family, either always or when the
    /// tokenizer does not state them.
    ///
    /// - Parameter vocabularySize: the number of embedding rows, by which Code Llama is known.
    func withFamilyTokens(_ architecture: String?, vocabularySize: Int) -> Vocabulary {
        var result = self
        func id(_ text: String) -> Int? { addedTokens.first { ExactString($0.content) == ExactString(text) }?.id }
        func endTurns(_ id: Int?) {
            if let id, id < vocabularySize, result.otherEndIDs.isEmpty, id != result.endID { result.otherEndIDs = [id] }
        }
        switch architecture {
        case "gemma": endTurns(107)
        case "llama" where vocabularySize == 32016: endTurns(32010)
        case "glm4", "chatglm":
            let end = id("<|endoftext|>")
            result.endID = endID ?? end
            result.unknownID = unknownID ?? end
            if architecture == "glm4" { result.beginningID = beginningID ?? end }
            endTurns(id("<|user|>"))
        case "nemotron": (result.paddingID, result.unknownID) = (0, 1)
        case "phi2": result.addsBeginning = result.addsBeginning == true ? true : false
        default: break
        }
        return result
    }
}
