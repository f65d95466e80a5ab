import Foundation
import Testing
import TestSupport

/// Sessions at a shell as files, fixtures/cli/*.txt and man/examples/*.txt: a line `$ command`, what it says, and `exit N`.
///
/// Each file is one session in an empty folder with links to the fixtures. RESECT_RECORD=1 rewrites the files with what
/// the program says now.
@Suite("transcripts")
struct TranscriptTests {
    static let paths =
        (Files.names(Fixture.path("cli")).map { Fixture.path("cli/" + $0) }
        + Files.names(Examples.path).map { "\(Examples.path)/\($0)" }).filter { $0.hasSuffix(".txt") }

    @Test("the program says what the transcript says", arguments: paths)
    func transcript(path: String) throws {
        let steps = Transcript.parse(String(decoding: Files.read(path), as: UTF8.self))
        #expect(!steps.isEmpty)
        let folder = path.hasPrefix(Examples.path) ? Examples.folder() : Fixture.folder()
        var recorded: [Transcript.Step] = []
        for step in steps {
            let before = folder.tree
            let outcome = try Program.shell(step.command, in: folder)
            let output = Transcript.normalized(outcome.output, folder: folder.path)
            recorded.append(
                .init(comments: step.comments, command: step.command, output: output, status: outcome.status))
            if outcome.status != 0 {
                #expect(folder.tree == before, "'\(step.command)' failed and left something behind")
            }
            guard !Transcript.records else { continue }
            #expect(outcome.status == step.status, "\(step.command)")
            #expect(
                Transcript.agree(output, step.output),
                "\(step.command)\n--- expected\n\(step.output)--- found\n\(output)")
        }
        if Transcript.records { Files.write(path, Array(Transcript.text(recorded).utf8)) }
    }

    @Test("every command has its help in a transcript")
    func help() throws {
        let text = String(decoding: Files.read(Fixture.path("cli/help.txt")), as: UTF8.self)
        for file in Files.names(Fixture.root + "/Sources/resect/Commands") {
            let command = file.dropLast(".swift".count).lowercased()
            #expect(text.contains("$ resect \(command) --help\n"), "\(command)")
        }
    }
}

/// The examples of the manual, man/examples/*.txt.
enum Examples {
    static let path = Fixture.root + "/man/examples"

    /// A folder with links to fixtures under the names that the manual gives them.
    static func folder() -> TemporaryFolder {
        let folder = Fixture.folder()
        for (name, target) in [
            ("model", "kjv-7m"), ("adapter", "adapters/plain"), ("imatrix.gguf", "importance/matrix.gguf"),
            ("text.txt", "calibration.txt"), ("other.txt", "evaluation.txt"),
        ] {
            Files.symbolicLink(folder(name), to: Fixture.path(target))
        }
        return folder
    }
}

extension Fixture {
    /// A folder with links to fixtures.
    fileprivate static func folder() -> TemporaryFolder {
        let folder = TemporaryFolder()
        for name in ["kjv-7m", "tiny", "importance", "adapters", "calibration.txt", "evaluation.txt"] {
            Files.symbolicLink(folder(name), to: Fixture.path(name))
        }
        return folder
    }
}

/// The form of the transcripts.
enum Transcript {
    struct Step {
        var comments = ""
        let command: String
        var output = ""
        var status: Int32 = 0
    }

    static let records = ProcessInfo.processInfo.environment["RESECT_RECORD"] != nil

    static func parse(_ text: String) -> [Step] {
        var steps: [Step] = []
        var comments = ""
        var isDone = true
        for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast(text.hasSuffix("\n") ? 1 : 0)
        {
            if isDone, !line.hasPrefix("$ ") {
                comments += line + "\n"
            } else if line.hasPrefix("$ ") {
                steps.append(Step(comments: comments, command: String(line.dropFirst(2))))
                (comments, isDone) = ("", false)
            } else if line.hasPrefix("exit "), let status = Int32(line.dropFirst(5)) {
                steps[steps.count - 1].status = status
                isDone = true
            } else {
                steps[steps.count - 1].output += line + "\n"
            }
        }
        return steps
    }

    static func text(_ steps: [Step]) -> String {
        steps.map { "\($0.comments)$ \($0.command)\n\($0.output)exit \($0.status)\n" }.joined()
    }

    /// What differs from run to run: times, phases that were slow enough to be said, paths and the room on the disk;
    /// and from build to build and machine to machine: what `--version` says.
    static func normalized(_ output: String, folder: String) -> String {
        var text = output.replacingOccurrences(of: folder + "/", with: "").replacingOccurrences(
            of: Program.path, with: "resect")
        for (pattern, replacement) in [
            (#"in [0-9.]+ s\b"#, "in T s"), (#"("seconds"|"promptSeconds"|"tokensPerSecond"):[0-9.eE-]+"#, "$1:T"),
            (#"has [0-9,]+ free"#, "has N free"), (#"(?m)^resect: [^\n]* took [0-9.]+ s[^\n]*\n"#, ""),
            (#"\(commit [^)]*\)"#, "(commit C)"),
            (#"(?m)^instruction set: \w+ \(available: [^)]*\)$"#, "instruction set: I"),
            (#"zstd [0-9.]+, xxHash [0-9.]+"#, "zstd V, xxHash V"),
        ] {
            text = text.replacingOccurrences(of: pattern, with: replacement, options: .regularExpression)
        }
        if !text.isEmpty, !text.hasSuffix("\n") { text += "\n" }
        return text
    }

    /// Whether two outputs are equal, but for the last digits of measured numbers: instruction sets add in other orders.
    static func agree(_ a: String, _ b: String) -> Bool {
        a == b
            || (skeleton(a) == skeleton(b) && numbers(a).count == numbers(b).count
                && zip(numbers(a), numbers(b)).allSatisfy { abs($0 - $1) <= 1e-3 * max(abs($0), abs($1), 0.1) })
    }

    private static let decimal = #"[0-9]+\.[0-9]+(e-?[0-9]+)?"#

    private static func skeleton(_ text: String) -> String {
        text.replacingOccurrences(of: " *" + decimal, with: " #", options: .regularExpression)
    }

    private static func numbers(_ text: String) -> [Double] {
        var (numbers, rest) = ([Double](), text[...])
        while let range = rest.range(of: decimal, options: .regularExpression) {
            numbers.append(Double(rest[range]) ?? .nan)
            rest = rest[range.upperBound...]
        }
        return numbers
    }
}
