import Formats
import Foundation
import Testing
import TestSupport

/// The JSON Schema files in schemas/ against what the program prints with --json.
///
/// The `$comment` of a file is the command line whose output, shortened, stands in `examples`; RESECT_RECORD=1 writes it anew.
@Suite("schemas")
struct SchemaTests {
    private static let folder = Fixture.root + "/schemas/"
    private static let common = "common.schema.json"

    private static func text(_ path: String) -> String { String(decoding: Files.read(path), as: UTF8.self) }

    private static func documents() throws -> [String: JSON] {
        try Dictionary(
            uniqueKeysWithValues: Files.names(folder).map { ($0, try JSON.parse(SchemaTests.text(folder + $0))) })
    }

    @Test("every command has a schema")
    func commands() throws {
        let commands = Files.names(Fixture.root + "/Sources/resect/Commands").map {
            String($0.dropLast(".swift".count)).lowercased()
        }
        #expect(
            Set(commands.map { $0 + ".schema.json" } + [SchemaTests.common]) == Set(Files.names(SchemaTests.folder)))
    }

    /// Commands that make the optional members appear, beside those of `$comment`. Each list is a session in a folder of its own;
    /// the last command of a line prints JSON.
    private static let sessions: [String: [String]] = [
        "inspect": [
            "resect inspect tiny/torch/types.safetensors --json", "resect inspect adapter --json",
            "resect inspect model --explain --json",
            "resect inspect odd.gguf --explain --json",
        ],
        "analyze": ["resect analyze model --corpus text.txt --tokens all --samples 2 --context 32 --json"],
        "cut": [
            "resect cut model -o a --layers 4:6 --dry-run --json",
            "resect cut model -o b --layers 4:6 --manifest --shard-size 4MB --json",
            "resect analyze model --corpus text.txt --samples 2 --context 64 -o a.json --quiet > map && "
                + "resect cut model -o c --drop 2 --analysis a.json --corpus text.txt --context 64 --json",
        ],
        "convert": [
            "resect quantize model -o q.gguf --type Q8_0 --quiet && resect convert q.gguf -o f --dtype bf16 --json"
        ],
        "quantize": [
            "resect quantize odd.gguf -o a.gguf --type Q4_K_M --json",
            "resect quantize model -o b.gguf --type Q4_0 --imatrix imatrix.gguf --json",
            "resect quantize model -o c --type W4A16 --json",
            "resect quantize c -o d --type GPTQ --json",
            "resect quantize c -o e --type MXFP4 --allow-requantize --json",
        ],
        "extract": [
            "resect quantize model -o q.gguf --type Q4_0 --quiet && resect extract model q.gguf -o a --rank 2 --json"
        ],
        "evaluate": ["resect evaluate model --corpus other.txt --samples 2 --layers 4:6 --json"],
        "generate": ["resect generate model --prompt 'In the' --tokens 2 --layers 4:6 --json"],
        "heal": [
            "resect heal model -o a --drop 2 --corpus text.txt --context 64 --heal-samples 8 --save-patch a.resect "
                + "--method refit,lora --steps 2 --batch 2 --json",
            "resect heal model -o b --drop 2 --choose loss --method none --corpus text.txt --context 64 --json",
        ],
        "shrink": [
            "resect shrink model -o a --heal none --corpus text.txt --drop 2 --context 64 --samples 2 "
                + "--evaluation-samples 2 --json",
            "resect shrink model -o b --heal none --corpus text.txt --drop 2 --context 64 --samples 2 "
                + "--evaluation-samples 2 --max-perplexity-ratio 0.1 --json",
        ],
        "verify": ["resect cut model -o cut --layers 4:6 --quiet && resect verify cut model --json"],
        "diff": [
            "resect convert model -o f32 --dtype f32 --quiet && resect diff model f32 --json",
            "resect cut model -o cut --layers 4:6 --quiet && resect diff cut model --json",
            "resect convert cut -o cut32 --dtype f32 --quiet && resect diff cut32 model --json",
            "resect quantize model -o q.gguf --type Q4_0 --quiet && resect diff model q.gguf --json",
            "resect diff tiny/llama3 tiny/mistral --json",
            "resect convert model -o a.gguf --quiet && resect convert a.gguf -o b.gguf --set general.name=str:b "
                + "--set general.author=str:c --quiet && resect diff a.gguf b.gguf --json",
        ],
        "pack": [
            "resect cut model -o cut --layers 4:6 --quiet && resect pack cut -o cut.resect --against model --json"
        ],
    ]

    /// A model with rows of 96, which have no blocks of 256, and with a tensor that no architecture has.
    private static let odd = GGUFBytes(
        [("general.architecture", .text("toy")), ("toy.block_count", .u32(1))],
        ["blk.0.ffn_up.weight", "blk.0.odd.weight"].map {
            .init($0, shape: [2, 96], data: [UInt8](repeating: 0, count: 768))
        })

    @Test("the output of every command is what its schema says, and every member of a schema is in some output")
    func outputs() throws {
        var schema = JSONSchema(try SchemaTests.documents())
        for (file, document) in schema.documents.sorted(by: { $0.key < $1.key }) where file != SchemaTests.common {
            let command = String(file.prefix { $0 != "." })
            let line = try #require(document["$comment"]?.string)
            let folder = Examples.folder()
            Files.write(folder("odd.gguf"), SchemaTests.odd.bytes)
            for (index, line) in ([line] + (SchemaTests.sessions[command] ?? [])).enumerated() {
                let value = try output(of: line, in: folder)
                #expect(schema.faults(of: value, in: file) == [], "\(line)")
                guard index == 0 else { continue }
                let example = SchemaExample.shortened(value)
                #expect(schema.faults(of: example, in: file) == [], "the example of \(file)")
                try compare(example, document, file)
            }
        }
        if !Transcript.records {
            #expect(schema.properties.subtracting(schema.found).sorted() == [], "no output of the test has these")
        }
    }

    private func output(of line: String, in folder: TemporaryFolder) throws -> JSON {
        let outcome = try Program.shell("{ \(line); } 2> errors", in: folder)
        let errors = String(decoding: Files.read(folder("errors")), as: UTF8.self)
        #expect(outcome.status <= 1, "\(line)\n\(errors)")
        return try JSON.parse(outcome.output)
    }

    /// Compares the example of a schema with the output, or writes it.
    private func compare(_ example: JSON, _ document: JSON, _ file: String) throws {
        if Transcript.records {
            var members = try #require(document.object)
            members["examples"] = .array([example])
            return Files.write(SchemaTests.folder + file, Array(JSON.object(members).pretty.utf8))
        }
        let found = try #require(document["examples"]?.array?.first)
        #expect(
            Transcript.agree(found.compact, example.compact),
            "\(file)\n--- expected\n\(found.pretty)--- found\n\(example.pretty)")
    }

    /// Made by fixtures/make-schema-cases.py, with the package jsonschema.
    @Test("the validator agrees with jsonschema")
    func oracle() throws {
        let cases = try #require(try JSON.parse(SchemaTests.text(Fixture.path("schema-cases.json"))).array)
        #expect(cases.count > 100)
        for item in cases {
            let schema = try #require(item["schema"])
            var validator = JSONSchema(["case": schema])
            let value = try #require(item["value"])
            #expect(
                validator.faults(of: value, in: "case").isEmpty == item["valid"]?.bool,
                "\(value.compact) by \(schema.compact)")
        }
    }

    @Test("an unknown keyword is a fault")
    func unknown() throws {
        var validator = JSONSchema(["case": try JSON.parse(#"{"type":"string","pattern":"a"}"#)])
        #expect(validator.faults(of: .string("a"), in: "case") == ["case#: unknown keyword pattern"])
    }
}

/// An output as it stands in a schema and in the manual.
enum SchemaExample {
    /// Lists and maps with their first elements only, times replaced by a number that does not change.
    static func shortened(_ value: JSON, key: String = "") -> JSON {
        switch value {
        case .number where key.hasSuffix("econds") || key.hasSuffix("PerSecond"): .number("0.5")
        case .array(let items): .array(items.prefix(count(items)).map { shortened($0) })
        case .object(let object):
            .object(
                JSONObject(
                    object.members.prefix(isMap(key) && object.count > 3 ? 2 : .max).map {
                        ($0.0, shortened($0.1, key: $0.0))
                    }))
        default: value
        }
    }

    /// One object, two lists, three of anything else.
    private static func count(_ items: [JSON]) -> Int {
        switch items.first {
        case .object: 1
        case .array: 2
        default: 3
        }
    }

    private static func isMap(_ key: String) -> Bool { ["metadata", "tensors", "config", "gguf"].contains(key) }
}
