import Foundation
import Testing
import TestSupport

/// What man/sections.mdoc says of all commands, against the sources and the transcripts.
@Suite("manual")
struct ManualTests {
    private static let sections = String(
        decoding: Files.read(Fixture.root + "/man/sections.mdoc"), as: UTF8.self)

    @Test("every environment variable that the program reads is in the manual")
    func environment() throws {
        var names: Set<String> = []
        let pattern = try Regex(#"(?:getenv|variable|value)\("([A-Z_]+)"\)"#, as: (Substring, Substring).self)
        let sources = try #require(FileManager.default.enumerator(atPath: Fixture.root + "/Sources"))
        for case let path as String in sources where path.hasSuffix(".swift") || path.hasSuffix(".c") {
            let text = String(decoding: Files.read(Fixture.root + "/Sources/" + path), as: UTF8.self)
            names.formUnion(text.matches(of: pattern).map { String($0.output.1) })
        }
        #expect(names.contains("RESECT_CPU"))
        let items = ManualTests.sections.split(separator: "\n").filter { $0.hasPrefix(".It Ev ") }
        let said = Set(items.flatMap { $0.dropFirst(7).split(separator: " ").map(String.init) }).subtracting([","])
        #expect(said == names)
    }

    @Test("no transcript ends with a status that the manual does not name")
    func statuses() throws {
        for path in TranscriptTests.paths {
            for step in Transcript.parse(String(decoding: Files.read(path), as: UTF8.self)) {
                #expect([0, 1, 2, 64].contains(step.status) || step.status > 128, "\(path): \(step.command)")
            }
        }
    }
}
