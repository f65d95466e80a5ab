internal import Formats

extension Vocabulary {
    /// The tokens that a post-processor puts around a text.
    private struct Frame {
        var first: [Int] = []
        var last: [Int] = []
        /// The tokens that the template for two texts puts between them; `nil` without such a template.
        var between: [Int]?
        /// Whether a step adds nothing.
        var isByteLevel = false
    }

    /// Reads what the post-processor of tokenizer.json puts before and after a text. The special tokens must be known.
    ///
    /// - Throws: when it adds tokens that are not one beginning token and one end token.
    mutating func readPostProcessor(_ processor: JSON?, file: String) throws(CheckpointError) {
        guard let frame = try Vocabulary.frame(processor, file: file) else { return }
        if frame.isByteLevel { (addsBeginning, addsEnd) = (false, false) }
        func one(_ ids: [Int], _ index: String) throws(CheckpointError) -> Int? {
            guard ids.count < 2 else {
                throw CheckpointError(
                    file: file, "the post-processor puts \(ids.count) tokens \(index) a text; one is the most")
            }
            guard let id = ids.first else { return nil }
            guard tokens.indices.contains(id) else {
                throw CheckpointError(
                    file: file,
                    "the post-processor puts token \(id.grouped) \(index) a text; "
                        + "there are \(tokens.count.grouped) tokens")
            }
            return id
        }
        let first = try one(frame.first, "before")
        if let first {
            beginningID = beginningID ?? first
            guard beginningID == first else {
                throw CheckpointError(
                    file: file,
                    "the post-processor puts '\(tokens[first])' before a text, which is not the "
                        + "beginning token '\(name(beginningID))'")
            }
            addsBeginning = true
        }
        let last = try one(frame.last, "after")
        if let last {
            // As in llama.cpp's converter, the token that ends a text is the end token, and the other one ends a turn.
            if let endID, endID != last { otherEndIDs.insert(endID, at: 0) }
            otherEndIDs.removeAll { $0 == last }
            endID = last
            addsEnd = true
        }
        if let between = frame.between {
            let separators = [separatorID, endID].compactMap { $0 }
            let separates =
                between.first.map { separators.contains($0) && last == nil } ?? false
                || between.count == 2 && separators.contains(between[1])
            addsSeparator = separates
            if separates { separatorID = separatorID ?? endID }
        }
    }

    private func name(_ id: Int?) -> String { id.flatMap { tokens.indices.contains($0) ? tokens[$0] : nil } ?? "" }

    private static func frame(_ processor: JSON?, file: String) throws(CheckpointError) -> Frame? {
        guard let processor, processor != .null else { return nil }
        let type = processor["type"]?.string ?? "?"
        var result = Frame()
        switch type {
        case "Sequence":
            for step in processor["processors"]?.array ?? [] {
                guard let frame = try frame(step, file: file) else { continue }
                // A later step puts its tokens around those of an earlier one.
                result.first = frame.first + result.first
                result.last += frame.last
                result.between = frame.between ?? result.between
                result.isByteLevel = result.isByteLevel || frame.isByteLevel
            }
        case "ByteLevel": result.isByteLevel = true
        case "TemplateProcessing": result = try template(processor, file: file)
        case "BertProcessing", "RobertaProcessing":
            guard let first = processor["cls"]?.array?.last?.int, let last = processor["sep"]?.array?.last?.int else {
                throw CheckpointError(file: file, "the post-processor \(type) has no token 'cls' or 'sep'")
            }
            result.first = [first]
            result.last = [last]
            result.between = type == "BertProcessing" ? [last] : [last, last]
        default: throw CheckpointError(file: file, "has a post-processor \(type), which resect does not know")
        }
        return result
    }

    /// A template: special tokens around the text A, and for two texts around A and B.
    private static func template(_ processor: JSON, file: String) throws(CheckpointError) -> Frame {
        func wrong(_ problem: String) -> CheckpointError {
            CheckpointError(file: file, "the template of the post-processor \(problem)")
        }
        func ids(_ piece: JSON) throws(CheckpointError) -> [Int] {
            guard let name = piece["SpecialToken"]?["id"]?.string,
                let list = processor["special_tokens"]?[name]?["ids"]?.array
            else { throw wrong("names a special token without a number") }
            return list.compactMap(\.int)
        }
        var result = Frame()
        var texts = 0
        for piece in processor["single"]?.array ?? [] {
            if piece["Sequence"] != nil {
                texts += 1
            } else if texts == 0 {
                result.first += try ids(piece)
            } else {
                result.last += try ids(piece)
            }
        }
        guard texts == 1 else { throw wrong("contains the text \(texts) times") }
        var pair = processor["pair"]?.array ?? []
        let isSpecial = { (piece: JSON?) in piece?["SpecialToken"] != nil }
        if !result.first.isEmpty, isSpecial(pair.first) { pair.removeFirst() }
        if !result.last.isEmpty, isSpecial(pair.last) { pair.removeLast() }
        if pair.count > 2, pair.first?["Sequence"]?["id"]?.string == "A",
            pair.last?["Sequence"]?["id"]?.string == "B"
        {
            var between: [Int] = []
            for piece in pair.dropFirst().dropLast() { between += try ids(piece) }
            result.between = between
        }
        return result
    }
}
