import Foundation
import Testing
import TestSupport

/// What a terminal shows, by its width and its colours.
@Suite("terminal")
struct TerminalTests {
    private static func folder() -> TemporaryFolder {
        let folder = TemporaryFolder()
        for name in ["kjv-7m", "calibration.txt"] { Files.symbolicLink(folder(name), to: Fixture.path(name)) }
        return folder
    }

    /// The text without escape sequences.
    private static func plain(_ text: String) -> String { text.replacing(/\u{1B}\[[0-9;]*[A-Za-z]/, with: "") }

    private static let analyze = "resect analyze kjv-7m --corpus calibration.txt --samples 2 --context 64"

    @Test("the heat map fits", arguments: [24, 60, 80, 200], ["never", "always"])
    func map(columns: Int, colour: String) throws {
        let outcome = try Program.shell(
            "COLUMNS=\(columns) \(TerminalTests.analyze) --quiet --color \(colour)", in: TerminalTests.folder())
        #expect(outcome.status == 0)
        let lines = TerminalTests.plain(outcome.output).split(separator: "\n")
        #expect(lines.allSatisfy { $0.count <= columns }, "\(outcome.output)")
        #expect(outcome.output.contains("\u{1B}") == (colour == "always"))
        // A row for every size from 1 to 11, with its nearest run.
        let rows = lines.filter { $0.firstMatch(of: /^ *[0-9]+  [0-9]+:[0-9]+/) != nil }
        #expect(rows.count == 11)
        #expect(lines.joined(separator: " ").contains("cannot be cut"))
    }

    @Test("the colours are those that the environment and --color ask for")
    func colours() throws {
        let folder = TerminalTests.folder()
        func output(_ environment: String, _ options: String) throws -> String {
            try Program.shell("\(environment) \(TerminalTests.analyze) --quiet \(options)", in: folder).output
        }
        #expect(try !output("", "").contains("\u{1B}"))
        #expect(try output("", "--color always").contains("\u{1B}[48;5;"))
        #expect(try output("COLORTERM=truecolor", "--color always").contains("\u{1B}[48;2;"))
        func terminal(_ environment: String, _ options: String = "") throws -> Bool {
            let command = "\(environment) \(TerminalTests.analyze) --quiet \(options)"
            return try Program.shell("script -qec '\(command)' /dev/null", in: folder).output.contains("\u{1B}[48")
        }
        #expect(try terminal("TERM=xterm"))
        #expect(try !terminal("TERM=xterm NO_COLOR=1") && terminal("TERM=xterm NO_COLOR="))
        #expect(try !terminal("TERM=dumb") && !terminal("TERM=xterm", "--color never"))
    }

    @Test("the cuts that would take the last layer are marked, unless they are asked for")
    func forbidden() throws {
        let folder = TerminalTests.folder()
        func row(_ options: String) throws -> Substring? {
            try Program.shell("\(TerminalTests.analyze) --quiet \(options)", in: folder).output.split(separator: "\n")
                .first { $0.hasPrefix("  1  ") }
        }
        #expect(try row("")?.hasSuffix(" x") == true)
        #expect(try row("--include-last")?.contains("x") == false)
    }

    @Test("a line of progress is never as wide as the terminal", arguments: [12, 24, 60, 80, 200])
    func progress(columns: Int) throws {
        let command = "stty cols \(columns); TERM=xterm resect evaluate kjv-7m --corpus calibration.txt --context 64"
        let output = try Program.shell("script -qec '\(command)' /dev/null", in: TerminalTests.folder()).output
        let drawn = output.split(separator: "\r\u{1B}[K").map(String.init).filter { $0.contains("%") }
        try #require(!drawn.isEmpty, "\(output)")
        for line in drawn { #expect(line.prefix { $0 != "\r" }.count < columns, "\(line)") }
        #expect(drawn.last?.contains("100%") == true)
        #expect(drawn.last?.contains("tokens/s") == (columns >= 60))
        #expect(drawn.last?.contains("left") == (columns >= 24))
        #expect(output.contains("perplexity"))
    }

    @Test("without a terminal, or with a dumb one, no progress is drawn")
    func dumb() throws {
        let folder = TerminalTests.folder()
        let command = "resect evaluate kjv-7m --corpus calibration.txt --context 64"
        #expect(try !Program.shell(command, in: folder).output.contains("%"))
        #expect(try !Program.shell("script -qec 'TERM=dumb \(command)' /dev/null", in: folder).output.contains("%"))
    }
}
