import TestSupport
import Testing

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// The program on files that lie: an answer or one error, in bounded time and memory. Conformance tells thousands of other lies.
@Suite("hostile inputs")
struct HostileInputTests {
    /// Expects an answer, or one error with nothing left behind.
    private static func expectAnswer(
        _ command: [String], status: Int32? = nil, seconds: Double = 10, writing output: String? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> Measured {
        let folder = TemporaryFolder()
        let run = Measured(command + ["--quiet"] + (output.map { ["-o", folder($0)] } ?? []), in: folder)
        let problems = run.problems(secondLimit: seconds)
        #expect(problems == [], "\(command)", sourceLocation: sourceLocation)
        #expect(run.status == 0 || folder.names == [], "\(command)", sourceLocation: sourceLocation)
        if let status { #expect(run.status == status, "\(command): \(run.errors)", sourceLocation: sourceLocation) }
        return run
    }

    /// Runs a model through the commands.
    private static func tryAll(_ model: String, text: String, sourceLocation: SourceLocation = #_sourceLocation) {
        let small = ["--context", "8", "--samples", "2", "--corpus", text]
        let commands: [([String], String?)] = [
            (["inspect", model, "--tensors", "--metadata"], nil), (["inspect", model, "--json"], nil),
            (["tokenize", model, "--text", text], nil), (["evaluate", model] + small, nil),
            (["analyze", model] + small, "a.json"), (["cut", model, "--layers", "0:1"], "out"),
            (["cut", model, "--layers", "1:2", "--dry-run"], "out.gguf"), (["convert", model], "out.gguf"),
            (["convert", model], "out.safetensors"), (["quantize", model, "--type", "Q8_0"], "out.gguf"),
        ]
        for (command, output) in commands {
            _ = expectAnswer(
                command, seconds: command[0] == "inspect" ? 1 : 10, writing: output, sourceLocation: sourceLocation)
        }
    }

    /// A folder with a small model that is right, and a text for it.
    private static func model() -> (folder: TemporaryFolder, text: String) {
        let folder = TemporaryFolder()
        for name in ["config.json", "model.safetensors"] {
            folder.write(name, Files.read(Fixture.path("tiny/llama3/" + name)))
        }
        let tokenizer = Fixture.root + "/Tests/Fuzzing/corpora/tokenizer/llama-bpe.json"
        folder.write("tokenizer.json", Files.read(tokenizer))
        let text = folder.write("text.txt", String(repeating: "the in the\n\nin  the <s> in ", count: 20))
        return (folder, text)
    }

    @Test("the model that lies are put into is right")
    func right() {
        let (folder, text) = HostileInputTests.model()
        for command in [["inspect", folder.path], ["evaluate", folder.path, "--corpus", text, "--context", "8"]] {
            _ = HostileInputTests.expectAnswer(command, status: 0)
        }
        _ = HostileInputTests.expectAnswer(["convert", folder.path], status: 0, writing: "x.gguf")
    }

    @Test("words and numbers of the JSON files replaced by others", arguments: 1...12)
    func words(seed: UInt64) {
        var lies = Lies(seed: seed)
        let (folder, text) = HostileInputTests.model()
        let name = ["config.json", "config.json", "tokenizer.json"][Int(seed % 3)]
        folder.write(name, lies.text(Files.read(folder(name))))
        HostileInputTests.tryAll(folder.path, text: text)
    }

    @Test("words and bytes of a safetensors header replaced by others", arguments: 1...6)
    func safetensors(seed: UInt64) {
        var lies = Lies(seed: seed)
        let (folder, text) = HostileInputTests.model()
        let bytes = Files.read(folder("model.safetensors"))
        let end = 8 + bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = lies.text(Array(bytes[8..<end]))
        let changed = littleEndian(UInt64(header.count)) + header + bytes[end...]
        folder.write("model.safetensors", seed % 2 == 0 ? changed : lies.bytes(bytes, first: end))
        HostileInputTests.tryAll(folder.path, text: text)
    }

    @Test("bytes of a GGUF header replaced by others", arguments: 1...12)
    func gguf(seed: UInt64) {
        var lies = Lies(seed: seed)
        let folder = TemporaryFolder()
        let bytes = Files.read(Fixture.root + "/Tests/Fuzzing/corpora/gguf/llama.gguf")
        let model = folder.write("x.gguf", lies.bytes(bytes, first: bytes.count / 2))
        HostileInputTests.tryAll(model, text: folder.write("text.txt", String(repeating: "the in ", count: 20)))
    }

    @Test("a file of 1 TiB is inspected in a second and 64 MiB", arguments: ["x.safetensors", "x.gguf"])
    func sparse(name: String) {
        let folder = TemporaryFolder()
        let count = 1 << 40
        let safetensors = SafetensorsBytes(
            header: #"{"m.0.w":{"dtype":"U8","shape":[\#(count)],"data_offsets":[0,\#(count)]}}"#, data: [])
        let gguf = GGUFBytes(
            [("general.architecture", .text("toy"))],
            [.init("blk.0.w", shape: [UInt64(count) / 4096, 1024], data: [])])
        let path = folder.write(name, name.hasSuffix("gguf") ? gguf.bytes : safetensors.bytes)
        Files.truncate(path, count + (name.hasSuffix("gguf") ? gguf.bytes.count : safetensors.bytes.count))
        for more in [[], ["--json"], ["--tensors", "--metadata"]] {
            _ = HostileInputTests.expectAnswer(["inspect", path] + more, status: 0, seconds: 1)
        }
    }

    @Test("what is no regular file is refused at once, wherever it stands", .timeLimit(.minutes(2)))
    func devices() {
        let (folder, text) = HostileInputTests.model()
        Files.fifo(folder("fifo"))
        let gguf = Fixture.root + "/Tests/Fuzzing/corpora/gguf/llama.gguf"
        for path in [folder("fifo"), "/dev/zero", "/dev/null", "/dev/stdin", "/dev/tty"] {
            for command in [
                ["inspect", path], ["tokenize", path, "--text", text], ["tokenize", gguf, "--text", path],
                ["evaluate", gguf, "--corpus", path], ["analyze", gguf, "-o", folder("a.json"), "--corpus", path],
            ] {
                let run = HostileInputTests.expectAnswer(command, status: 2, seconds: 1)
                #expect(run.wallSeconds < 5)
            }
            _ = HostileInputTests.expectAnswer(["cut", path, "--layers", "0:1"], status: 2, seconds: 1, writing: "x")
        }
    }

    @Test(
        "a FIFO in a folder is refused or passed over, and never waited for", .timeLimit(.minutes(2)),
        arguments: [
            ("config.json", true), ("model.safetensors", true), ("model.safetensors.index.json", false),
            ("tokenizer.json", false), ("tokenizer_config.json", false), ("generation_config.json", false),
            ("README.md", false),
        ])
    func fifos(name: String, isNeeded: Bool) {
        let (folder, text) = HostileInputTests.model()
        unlink(folder(name))
        Files.fifo(folder(name))
        let inspect = HostileInputTests.expectAnswer(["inspect", folder.path], status: isNeeded ? 2 : 0, seconds: 1)
        #expect(inspect.wallSeconds < 5)
        if isNeeded { #expect(inspect.errors.contains("\(name): is not a regular file")) }
        let tokenize = HostileInputTests.expectAnswer(["tokenize", folder.path, "--text", text])
        #expect(tokenize.wallSeconds < 5)
    }

    @Test("names of every kind are shown, and none of them drives a terminal or a formatter")
    func names() {
        let names = [
            "a\u{1B}[31m\u{9B}2J\u{7F}\n\r\t\u{0}.0.w", "%s%n%d%@ %1$s.0.w", "\u{E9}.0.w", "e\u{301}.0.w",
            "\u{202E}.0.w", "",
        ]
        let folder = TemporaryFolder()
        // A key needs a name, and a tensor that is to be written one without a zero byte.
        let gguf = GGUFBytes(
            names.dropLast().map { (key: $0, value: .text($0)) } + [
                ("general.architecture", .text(names[0])), (names[0] + ".block_count", .u32(1)),
            ],
            names.map { .init($0.filter { $0 != "\u{0}" }, shape: [1], data: [0, 0, 0, 0]) })
        // JSON escapes what may not stand in its texts.
        let escaped = names.map { name in
            name.unicodeScalars.map {
                $0.value < 0x20 ? "\\u00" + ($0.value < 16 ? "0" : "") + String($0.value, radix: 16) : String($0)
            }
            .joined()
        }
        let safetensors = SafetensorsBytes(
            escaped.map { (name: $0, dtype: "U8", shape: [1], data: [1]) },
            metadata: #"{"\#(escaped[0])":"\#(escaped[0])"}"#)
        for path in [folder.write("x.gguf", gguf.bytes), folder.write("x.safetensors", safetensors.bytes)] {
            let output = path.hasSuffix(".gguf") ? "out.gguf" : "out.safetensors"
            for more in [["--tensors", "--metadata"], ["--json"]] {
                let run = HostileInputTests.expectAnswer(["inspect", path] + more, status: 0)
                let text = String(decoding: run.output, as: UTF8.self)
                #expect(text.contains("%s%n%d%@ %1$s.0.w"))
                #expect(
                    text.contains(
                        more == ["--json"]
                            ? #"a\u001b[31m\u009b2J\u007f\n\r\t\u0000"# : #"a\x1b[31m\x9b2J\x7f\x0a\x0d\x09\x00"#))
            }
            _ = HostileInputTests.expectAnswer(["convert", path], status: 0, writing: output)
            for more in [[], ["--json"]] {
                let dryRun = ["convert", path, "--dry-run"] + more
                _ = HostileInputTests.expectAnswer(dryRun, status: 0, writing: output)
            }
            HostileInputTests.tryAll(path, text: folder.write("text.txt", "x"))
        }
    }
}

/// Makes lies of texts and bytes; the same ones for the same seed.
struct Lies {
    private var generator: SeededGenerator

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    private static let words = [
        "null", "true", "0", "-1", "2147483648", "9223372036854775807", "-9223372036854775808", "18446744073709551616",
        "1e400", "1e300", "-1e300", "1e-400", "0.5", "NaN", "\"\"", "\"text\"", "\"%s%n\"", #""\u001b[31m\u009b""#,
        "[]",
        "[[]]", "{}", "[0,0,0]", "[\"a\"]", "\"e\u{301}\"", "\"\\ud800\"", "\"x\":1",
        String(repeating: "[", count: 50_000),
        String(repeating: "9", count: 400), #"{"rope_type":"yarn","factor":1e300}"#,
    ]

    /// A JSON text with one to three words, keys or values, replaced by others.
    mutating func text(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            let signs = Set("{}[],: \n".utf8)
            let starts = bytes.indices.filter {
                !signs.contains(bytes[$0]) && ($0 == 0 || signs.contains(bytes[$0 - 1]))
            }
            guard let start = starts.randomElement(using: &generator) else { return bytes }
            let end = bytes[start...].firstIndex(where: signs.contains) ?? bytes.endIndex
            bytes.replaceSubrange(start..<end, with: Array((Lies.words.randomElement(using: &generator) ?? "").utf8))
        }
        return bytes
    }

    /// The bytes with a few of the first ones overwritten, left out, or the end cut off.
    mutating func bytes(_ bytes: [UInt8], first count: Int) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &generator) where bytes.count > count {
            let index = Int.random(in: 0..<count, using: &generator)
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: bytes.removeSubrange(index..<min(bytes.count, index + 4))
            case 1: bytes.removeSubrange(index...)
            case 2, 3:
                let number: UInt64 = [0, 1, 1 << 31, 1 << 62, 1 << 63, .max].randomElement(using: &generator) ?? 0
                bytes.replaceSubrange(index..<min(bytes.count, index + 8), with: littleEndian(number))
            default: bytes[index] = UInt8.random(in: .min ... .max, using: &generator)
            }
        }
        return bytes
    }
}
