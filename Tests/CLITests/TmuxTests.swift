import Foundation
import Testing
import TestSupport

/// What a terminal emulator has on its screen: tmux, whose panes have any width and can be read.
@Suite("tmux", .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/tmux")))
struct TmuxTests {
    private static let analyze = "resect analyze kjv-7m --corpus calibration.txt --samples 2 --context 64 --quiet"
    private static let shrink =
        "resect shrink kjv-7m -o small.gguf --corpus calibration.txt --drop 2 --type Q8_0 --context 128 --samples 2 "
        + "--heal-samples 48 --evaluation-samples 4"

    private static func folder() -> TemporaryFolder {
        let folder = TemporaryFolder()
        for name in ["kjv-7m", "calibration.txt"] { Files.symbolicLink(folder(name), to: Fixture.path(name)) }
        return folder
    }

    /// Runs a command in a pane and gives what the pane shows, once at the end or all the time.
    private static func screens(
        of command: String, columns: Int, in folder: TemporaryFolder, escapes: Bool = false, often: Bool = false
    ) throws -> [String] {
        let capture = "tmux -S socket capture-pane -p \(escapes ? "-e" : "") -t 0"
        let pane = "env -u COLUMNS TERM=screen-256color \(command); echo the end; exec sleep 60"
        let line = """
            tmux -S socket -f /dev/null new-session -d -x \(columns) -y 70 '\(pane)'
            for i in $(seq 1200); do
                \(capture) > screen
                grep -q 'the end' screen && break
                \(often ? "cat screen; echo =====" : ":")
                sleep 0.05
            done
            cat screen
            tmux -S socket kill-server
            """
        return try Program.shell(line, in: folder).output.components(separatedBy: "=====\n")
    }

    private static func lines(_ screen: String) -> [String] {
        screen.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            String(line.reversed().drop { $0 == " " }.reversed())
        }
    }

    @Test(
        "the screen has line by line what the program prints for so many columns", arguments: [24, 60, 80, 200],
        ["never", "always"])
    func map(columns: Int, colour: String) throws {
        let folder = TmuxTests.folder()
        let command = "\(TmuxTests.analyze) --color \(colour)"
        let screen = try #require(TmuxTests.screens(of: command, columns: columns, in: folder, escapes: true).last)
        #expect(screen.contains("\u{1B}[48;") == (colour == "always"))
        let plain = screen.replacing(/\u{1B}\[[0-9;]*[A-Za-z]|\u{0F}|\u{0E}/, with: "")
        let printed = try Program.shell("COLUMNS=\(columns) \(command)", in: folder).output
            .replacing(/\u{1B}\[[0-9;]*[A-Za-z]/, with: "")
        let expected = TmuxTests.lines(printed).filter { !$0.isEmpty }
        #expect(expected.count > 11)
        #expect(Array(TmuxTests.lines(plain).filter { !$0.isEmpty }.prefix(expected.count)) == expected)
    }

    @Test("progress is one line that is drawn over, and is gone at the end", arguments: [24, 60, 80, 200])
    func progress(columns: Int) throws {
        let screens = try TmuxTests.screens(of: TmuxTests.shrink, columns: columns, in: TmuxTests.folder(), often: true)
        let bar = /^(analyze|search|compare|heal|write|judge) .*%/
        let drawn = screens.map { TmuxTests.lines($0).filter { $0.firstMatch(of: bar) != nil } }
        #expect(drawn.allSatisfy { $0.count <= 1 })
        let lines = drawn.compactMap(\.first)
        try #require(lines.count > 3, "\(screens.last ?? "")")
        #expect(lines.allSatisfy { $0.count < columns })
        #expect(drawn.last == [])
        // All phases are counted, the time left is there, and so are tokens wherever there is room.
        let isWide = columns >= 80
        if columns >= 60 { #expect(lines.allSatisfy { $0.contains(" of 6") }) }
        #expect(lines.contains { $0.contains(" left") })
        if isWide {
            for phase in ["compare", "heal", "judge"] {
                let own = lines.filter { $0.hasPrefix(phase) }
                #expect(own.isEmpty || own.contains { $0.contains("tokens/s") }, "\(own)")
            }
        }
    }
}
