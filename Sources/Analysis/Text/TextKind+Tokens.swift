internal import Checkpoints
internal import Tokenization

extension TextKind {
    /// The tokens of all documents, one after the other.
    ///
    /// - Parameters:
    ///   - limit: the maximum number of tokens; documents after it are not read.
    ///   - skipped: gets the names of files of a folder that are not text.
    /// - Throws: when a file cannot be read or is not text, or a folder holds no text.
    func tokens(_ tokenizer: Tokenizer, limit: Int, threads: Int = 1, skipped: inout [String]) throws(CheckpointError)
        -> [Int32]
    {
        var tokens: [Int32] = []
        var textCount = 0
        for document in documents where tokens.count < limit {
            if case .tokens(_, let given) = document {
                tokens += given.prefix(limit - tokens.count)
                continue
            }
            let text = try document.open()
            try text.withBytes { (bytes) throws(CheckpointError) in
                if let offset = UTF8Check.firstInvalidByte(bytes) {
                    if skipsOtherFiles {
                        skipped.append(document.name)
                        return
                    }
                    throw CheckpointError(
                        file: document.name, byteOffset: offset, "is not UTF-8 text",
                        hint: "convert it first, for instance with iconv")
                }
                textCount += 1
                tokens += tokenizer.encode(bytes, limit: limit - tokens.count, threads: threads)
            }
        }
        guard textCount > 0 || !skipsOtherFiles else {
            throw CheckpointError(
                file: name, "holds no text file: \(documents[0].name.lastPathComponent) is not UTF-8 text")
        }
        return tokens
    }
}
