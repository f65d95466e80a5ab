import TestSupport
import Testing

/// Swift in documents is what `make consumer` builds: a comment above a block names the file that it repeats.
@Suite("code in documents")
struct DocumentTests {
    /// The landing page of each library, and what a user reads first.
    static let documents =
        ["README.md"] + ["Checkpoints", "Surgery", "Analysis", "Healing"].map { "Sources/\($0)/\($0).docc/\($0).md" }

    @Test("every block of Swift repeats a file that is built", arguments: documents)
    func blocks(document: String) throws {
        let text = DocumentTests.text(document)
        let parts = text.split(separator: "```swift\n", omittingEmptySubsequences: false)
        #expect(parts.count > 1, "\(document) has no example")
        for (before, part) in zip(parts, parts.dropFirst()) {
            let comment = try #require(before.split(whereSeparator: \.isNewline).last)
            try #require(comment.hasPrefix("<!-- Tests/Consumer/") && comment.hasSuffix(" -->"), "\(comment)")
            let file = String(comment.dropFirst("<!-- ".count).dropLast(" -->".count))
            let end = try #require(part.firstRange(of: "```\n"))
            #expect(part[..<end.lowerBound] == DocumentTests.text(file), "\(document) differs from \(file)")
        }
    }

    private static func text(_ path: String) -> String {
        String(decoding: Files.read(Fixture.root + "/" + path), as: UTF8.self)
    }
}
