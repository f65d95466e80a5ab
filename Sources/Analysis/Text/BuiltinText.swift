internal import CTexts
internal import CZstd
internal import Formats

/// The text of several kinds that comes with resect (`Sources/CTexts`).
package enum BuiltinText {
    /// How a user asks for it.
    package static let name = "builtin"

    /// The kinds of text with their documents.
    ///
    /// - Parameter judging: whether to take the documents that are held out for evaluation; else those that weights may be
    ///   fitted on.
    package static func kinds(judging: Bool) -> [TextKind] {
        var kinds: [TextKind] = []
        for document in documents where document.judges == judging {
            let kind = "\(name)/\(document.kind)"
            if kinds.last?.name != kind { kinds.append(TextKind(name: kind, isBuiltin: true)) }
            kinds[kinds.count - 1].documents.append(.text(document.name, bytes: document.bytes))
        }
        return kinds
    }

    /// A document.
    struct Document: Sendable {
        let kind: String
        let name: String
        /// Whether the document is held out for evaluation.
        let judges: Bool
        let bytes: [UInt8]
    }

    /// All documents. Traps when the embedded text does not unpack: that would be a bug, and the first test to run finds it.
    static var documents: [Document] {
        let text = unpacked()
        guard let end = text.firstIndex(of: 0x0A),
            let index = try? JSON.parse(String(decoding: text[..<end], as: UTF8.self)),
            let entries = index["documents"]?.array
        else { preconditionFailure("the text that comes with resect has no index") }
        var start = end + 1
        let documents = entries.map { entry -> Document in
            guard let kind = entry["kind"]?.string, let name = entry["name"]?.string,
                let judges = entry["judges"]?.bool, let count = entry["bytes"]?.int, count <= text.count - start
            else { preconditionFailure("the index of the text that comes with resect is wrong") }
            defer { start += count }
            return Document(kind: kind, name: name, judges: judges, bytes: Array(text[start..<start + count]))
        }
        precondition(start == text.count, "the index of the text that comes with resect is wrong")
        return documents
    }

    private static func unpacked() -> [UInt8] {
        let (packed, length) = (resect_texts(), resect_texts_length())
        let size = Int(ZSTD_getFrameContentSize(packed, length))
        return [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = ZSTD_decompress(buffer.baseAddress, size, packed, length)
            precondition(count == size, "the text that comes with resect does not unpack")
        }
    }
}
