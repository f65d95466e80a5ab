import TestSupport
import Testing

/// Files of nearly a megabyte that consist of the smallest parts there are: many of them take much memory, or many looks.
@Suite("a megabyte of small parts")
struct MegabyteTests {
    private static let size = 1_000_000

    /// A file by the name that it gets, in a folder with a model that is right where it needs one.
    struct Part: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let name: String
        let bytes: @Sendable () -> [UInt8]

        init(_ description: String, _ name: String, _ bytes: @escaping @Sendable () -> [UInt8]) {
            testDescription = description
            self.name = name
            self.bytes = bytes
        }
    }

    private static func repeated(_ text: String, between ends: (String, String)) -> [UInt8] {
        Array(
            (ends.0 + String(repeating: text, count: (size - ends.0.utf8.count - 100) / text.utf8.count) + ends.1).utf8)
    }

    /// Numbered texts, as many as fit.
    private static func numbered(_ text: (Int) -> String, between ends: (String, String)) -> [UInt8] {
        var result = ends.0
        var number = 0
        while result.utf8.count < size - 100 {
            result += (number == 0 ? "" : ",") + text(number)
            number += 1
        }
        return Array((result + ends.1).utf8)
    }

    private static func safetensors(_ header: [UInt8], dataCount: Int = 0) -> [UInt8] {
        littleEndian(UInt64(header.count)) + header + Array(repeating: 0, count: dataCount)
    }

    private static func array(_ type: UInt32, unit: Int) -> [UInt8] {
        let count = (size - 200) / unit
        let bytes = littleEndian(type) + littleEndian(UInt64(count)) + Array(repeating: 0, count: count * unit)
        return GGUFBytes([("general.architecture", .text("toy")), ("k", .init(type: 9, bytes: bytes))]).bytes
    }

    private static let tokenizerStart =
        #"{"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"model":{"type":"BPE","#

    static let parts: [Part] = [
        Part("numbers in a header", "x.safetensors") { safetensors(repeated("0,", between: (#"{"a":["#, "0]}"))) },
        Part("lists in a header", "x.safetensors") { safetensors(repeated("[],", between: (#"{"a":["#, "0]}"))) },
        Part("texts in a header", "x.safetensors") { safetensors(repeated("\"\",", between: (#"{"a":["#, "0]}"))) },
        Part("members in a header", "x.safetensors") {
            safetensors(numbered({ "\"\(String($0, radix: 36))\":0" }, between: ("{", "}")))
        },
        Part("metadata in a header", "x.safetensors") {
            safetensors(numbered({ "\"\(String($0, radix: 36))\":\"\"" }, between: (#"{"__metadata__":{"#, "}}")))
        },
        Part("empty tensors", "x.safetensors") {
            safetensors(
                numbered({ #""a.\#($0).w":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}"# }, between: ("{", "}")))
        },
        Part("a name of a megabyte", "x.safetensors") {
            safetensors(repeated("0.", between: (#"{""#, #"":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)))
        },
        Part("dimensions", "x.safetensors") {
            safetensors(
                repeated("1,", between: (#"{"a":{"dtype":"U8","data_offsets":[0,1],"shape":["#, "1]}}")), dataCount: 1)
        },
        Part("bytes in an array", "x.gguf") { array(0, unit: 1) },
        Part("truth values in an array", "x.gguf") { array(7, unit: 1) },
        Part("empty texts in an array", "x.gguf") { array(8, unit: 8) },
        Part("pairs", "x.gguf") {
            GGUFBytes((0..<size / 17).map { (key: String($0, radix: 36), value: .init(type: 0, bytes: [0])) }).bytes
        },
        Part("tensors without bytes", "x.gguf") {
            GGUFBytes(
                [("general.architecture", .text("toy"))],
                (0..<size / 46).map { .init("blk.\($0).w", shape: [0], data: []) }
            ).bytes
        },
        Part("a text of a megabyte", "x.gguf") {
            GGUFBytes([("general.architecture", .text(String(repeating: "e\u{301}", count: size / 3 - 100)))]).bytes
        },
        Part("numbers in a configuration", "config.json") { repeated("0,", between: (#"{"layer_types":["#, "0]}")) },
        Part("members of a configuration", "config.json") {
            numbered({ "\"\(String($0, radix: 36))\":0" }, between: ("{", "}"))
        },
        Part("digits in a configuration", "config.json") { repeated("9", between: (#"{"num_hidden_layers":"#, "}")) },
        Part("files in an index", "model.safetensors.index.json") {
            numbered({ "\"\($0)\":\"\($0)\"" }, between: (#"{"weight_map":{"#, "}}"))
        },
        Part("tokens in a vocabulary", "tokenizer.json") {
            numbered({ "\"\(String($0, radix: 36))\":\($0)" }, between: (tokenizerStart + #""vocab":{"#, "}}}"))
        },
        Part("spaces in a merge", "tokenizer.json") {
            repeated(" ", between: (tokenizerStart + #""vocab":{"a":0," ":1,"  ":2},"merges":[""#, #""]}}"#))
        },
        Part("merges", "tokenizer.json") {
            repeated("\"a a\",", between: (tokenizerStart + #""vocab":{"a":0,"aa":1},"merges":["#, #""a a"]}}"#))
        },
        Part("added tokens", "tokenizer.json") {
            numbered(
                { #"{"id":\#($0),"content":"t\#($0)"}"# },
                between: (
                    #"{"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"added_tokens":["#,
                    #"],"model":{"type":"BPE","vocab":{}}}"#
                ))
        },
        Part("a number far beyond the tokens", "tokenizer.json") {
            Array((tokenizerStart + #""vocab":{"a":65535}}}"#).utf8)
        },
    ]

    @Test("is read or refused in a second and 64 MiB", arguments: parts)
    func bounded(part: Part) {
        let folder = TemporaryFolder()
        for name in ["config.json", "model.safetensors"] where !part.name.hasPrefix("x.") {
            folder.write(name, Files.read(Fixture.path("tiny/llama3/" + name)))
        }
        let bytes = part.bytes()
        #expect(bytes.count <= MegabyteTests.size + 1000)
        let path = folder.write(part.name, bytes)
        let text = folder.write("text.txt", String(repeating: "the text", count: 100))
        let model = part.name.hasPrefix("x.") ? path : folder.path
        for command in [["inspect", model], ["inspect", model, "--json"], ["tokenize", model, "--text", text]] {
            let run = Measured(command, in: folder)
            #expect(run.problems(secondLimit: 1) == [], "\(command)")
        }
        let cut = Measured(["cut", model, "-o", folder("out"), "--layers", "0:1", "--quiet"], in: folder)
        #expect(cut.problems(secondLimit: 10) == [])
    }

    #if os(Linux)
        @Test("a run that takes more memory, or more time, is noticed")
        func noticed() {
            let folder = TemporaryFolder()
            let count = 6_000_000
            let value = GGUFBytes.Value(type: 9, bytes: littleEndian(UInt32(12)) + littleEndian(UInt64(count)))
            let file = GGUFBytes([("general.architecture", .text("toy")), ("k", value)])
            // A file of this size may take as much in memory, but none of the others here.
            let path = folder.write("x.gguf", file.bytes)
            Files.truncate(path, file.header.count + count * 8 + (64 << 20))
            #expect(!Measured(["inspect", path], in: folder).problems(secondLimit: 10).isEmpty)
            let run = Measured(["inspect", Fixture.path("tiny/llama3")], in: folder)
            #expect(run.problems(secondLimit: 10).isEmpty && !run.problems(secondLimit: 0).isEmpty)
        }
    #endif
}
