import Foundation
import Testing
import TestSupport

/// The completions of `resect --generate-completion-script`, as the shells that are installed use them.
@Suite("completions")
struct CompletionTests {
    /// A line, and words that a shell has to offer for its last one.
    static let cases: [(line: String, words: [String])] = [
        ("resect qua", ["quantize"]),
        ("resect cut model.gguf --fo", ["--force", "--format"]),
        ("resect cut model.gguf --format ", ["folder", "gguf", "safetensors"]),
        ("resect quantize model.gguf --type Q4_K_", ["Q4_K_M", "Q4_K_S"]),
        ("resect quantize mod", ["model.gguf", "models"]),
        ("resect cut model.gguf -o mod", ["model.gguf", "models"]),
        ("resect heal model.gguf --corpus tex", ["text.txt"]),
        ("resect heal model.gguf --method ref", ["refit", "refit,lora"]),
        ("resect formats gem", ["gemma", "gemma2"]),
    ]

    private static func folder(_ shell: String, script: String) throws -> TemporaryFolder {
        let folder = TemporaryFolder()
        let made = try Program.shell("resect --generate-completion-script \(shell) > \(script)", in: folder)
        try #require(made.status == 0 && made.output.isEmpty)
        folder.write("model.gguf", "")
        folder.write("text.txt", "")
        folder.makeFolder("models")
        return folder
    }

    private static func has(_ shell: String) -> Bool {
        ["/bin/", "/usr/bin/"].contains { FileManager.default.isExecutableFile(atPath: $0 + shell) }
    }

    private static func check(_ output: String, _ line: String, _ words: [String]) {
        // Shells write a folder with or without a slash, and fish adds a description behind a tab.
        let found = output.split(separator: "\n").map { $0.prefix { !"\t/\r".contains($0) } }.map {
            $0.trimmingCharacters(in: .whitespaces)
        }
        for word in words { #expect(found.contains(word), "\(line): \(output)") }
        #expect(!found.contains("inspect"), "\(line): \(output)")
    }

    @Test("bash completes commands, options, types and paths", .enabled(if: has("bash")), arguments: cases)
    func bash(line: String, words: [String]) throws {
        let folder = try CompletionTests.folder("bash", script: "resect.bash")
        folder.write(
            "try.bash",
            """
            source ./resect.bash
            COMP_LINE="$1" COMP_POINT=${#1}
            read -ra COMP_WORDS <<< "$1"
            [[ "$1" == *" " ]] && COMP_WORDS+=("")
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _resect resect "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\\n' "${COMPREPLY[@]}"
            """)
        let outcome = try Program.shell("bash try.bash '\(line)'", in: folder)
        CompletionTests.check(outcome.output, line, words)
    }

    @Test("fish completes commands, options, types and paths", .enabled(if: has("fish")), arguments: cases)
    func fish(line: String, words: [String]) throws {
        let folder = try CompletionTests.folder("fish", script: "resect.fish")
        let outcome = try Program.shell(
            "HOME=$PWD fish --no-config -c 'source resect.fish; complete -C \"\(line)\"'", in: folder)
        CompletionTests.check(outcome.output, line, words)
    }

    @Test("zsh completes commands, options, types and paths", .enabled(if: has("zsh")), arguments: cases)
    func zsh(line: String, words: [String]) throws {
        let folder = try CompletionTests.folder("zsh", script: "_resect")
        // Completion needs a terminal. It lists what fits, or completes the line, which a key prints.
        folder.write(
            "start.zsh",
            """
            fpath=($PWD $fpath)
            autoload -Uz compinit && compinit -u -D
            setopt no_list_ambiguous no_auto_menu
            show() { print; print -r -- $BUFFER }
            zle -N show
            bindkey '^T' show
            """)
        folder.write(
            "try.zsh",
            """
            zmodload zsh/zpty
            zpty shell 'zsh -f -i'
            zpty -w shell 'source ./start.zsh; print RE\\ADY'
            zpty -r -m shell output '*READY*'
            sleep 0.5
            zpty -w -n shell "$1"$'\\t\\C-t\\C-u'
            zpty -w shell 'print RE\\ADY'
            zpty -r -m shell output '*READY*'
            print -r -- $output
            """)
        let outcome = try Program.shell("timeout 60 zsh -f try.zsh '\(line)'", in: folder)
        let plain = outcome.output.replacing(/\u{1B}\[[0-9;?]*[A-Za-z]/, with: "")
        let found = plain.split(whereSeparator: \.isWhitespace).joined(separator: "\n")
        CompletionTests.check(found, line, words)
    }
}
