import Foundation
import Testing
import TestSupport

@Suite("help")
struct HelpTests {
    /// What the examples need, and what makes the slow ones quick.
    private static let links = [
        ("model", "kjv-7m"), ("text.txt", "calibration.txt"), ("adapter", "adapters/plain"),
    ]
    private static let order = [
        "inspect", "formats", "tokenize", "generate", "evaluate", "analyze", "merge", "extract", "diff", "cut", "apply",
        "quantize",
        "convert", "verify", "hash", "pack", "unpack",
    ]
    private static let quicker = "--heal-samples 8 --context 64 --force"

    private static func example(of command: String, in folder: TemporaryFolder) throws -> String {
        let help = try Program.shell("resect help \(command)", in: folder)
        #expect(help.status == 0)
        let paragraphs = help.output.components(separatedBy: "\n\n")
        let example = try #require(paragraphs.dropFirst().first)
        #expect(example.hasPrefix("  $ resect \(command)"), "\(command): \(example)")
        return String(example.dropFirst(4))
    }

    @Test("the example that stands first in a command's help works as it stands")
    func examples() throws {
        let folder = TemporaryFolder()
        for (name, fixture) in HelpTests.links { Files.symbolicLink(folder(name), to: Fixture.path(fixture)) }
        Files.write(folder("recipe.json"), Array(#"{"command": "cut", "options": {"layers": "4:6"}}"#.utf8))
        for command in HelpTests.order {
            let example = try HelpTests.example(of: command, in: folder)
            let outcome = try Program.shell(example, in: folder)
            #expect(outcome.status == (command == "diff" ? 1 : 0), "\(example)\n\(outcome.output)")
        }
        for (command, choosing) in [("heal", ""), ("shrink", "--samples 2")] {
            let example = try HelpTests.example(of: command, in: folder)
            let outcome = try Program.shell("\(example) \(HelpTests.quicker) \(choosing)", in: folder)
            #expect(outcome.status == 0, "\(example)\n\(outcome.output)")
        }
    }

    @Test("the help fits the columns of the terminal", arguments: [60, 80, 132])
    func widths(columns: Int) throws {
        let folder = TemporaryFolder()
        for command in HelpTests.order + ["heal", "shrink"] {
            let help = try Program.shell("COLUMNS=\(columns) resect \(command) --help", in: folder)
            // An example and a word without a blank are never broken.
            for line in help.output.split(separator: "\n") where line.count > columns {
                let words = line.drop { $0 == " " }
                #expect(words.hasPrefix("$ ") || !words.contains(" ") || columns < 80, "\(command): \(line)")
            }
        }
    }

    @Test("the help takes less than 30 ms of processor time", arguments: ["help", "help shrink", "--version"])
    func speed(arguments: String) throws {
        // The quickest of several runs: a busy machine only makes them slower.
        let line =
            "export TIMEFORMAT='%U %S'; for run in 1 2 3 4 5 6 7 8; do time resect \(arguments) > /dev/null; done"
        let output = try Program.shell("bash -c \"\(line)\"", in: TemporaryFolder()).output
        let seconds = output.split(separator: "\n").map {
            $0.split(separator: " ").compactMap { Double($0) }.reduce(0, +)
        }
        #expect(seconds.count == 8)
        #expect(try #require(seconds.min()) < 0.03, "\(output)")
    }

    @Test("the version names the release, the commit, the instruction set and the libraries")
    func version() throws {
        let text = try Program.shell("resect --version", in: TemporaryFolder()).output
        let lines = text.split(separator: "\n")
        try #require(lines.count == 3)
        #expect(
            lines[0].wholeMatch(
                of: /resect [0-9]+\.[0-9]+\.[0-9]+ \(commit (unknown: built without git|[0-9a-f]{12}(-dirty)?)\)/)
                != nil)
        #expect(lines[1].wholeMatch(of: /instruction set: (\w+) \(available: (\w+ )*\w+\)/) != nil)
        #expect(lines[2].wholeMatch(of: /libraries: zstd [0-9.]+, xxHash [0-9.]+/) != nil)
    }

    @Test(
        "a usage error has one prefix and status 64",
        arguments: [
            "cutt", "help cutt", "cut", "cut model", "cut model -o x --layers 1 --lyers 2", "inspect model --threads 0",
            "quantize model -o x --type Q4_KM", "cut model other -o x", "inspect model --threads", "inspect model -x",
            "heal model -o x --layers 1:2 --method reft --corpus builtin", "inspect model --json=3",
        ])
    func usage(arguments: String) throws {
        let outcome = try Program.shell("resect \(arguments)", in: TemporaryFolder())
        #expect(outcome.status == 64)
        let lines = outcome.output.split(separator: "\n")
        #expect(lines.count >= 2)
        for line in lines { #expect(line.hasPrefix("resect: "), "\(line)") }
        #expect(lines.last?.hasPrefix("resect: usage: resect ") == true)
    }
}
