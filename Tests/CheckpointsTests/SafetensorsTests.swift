import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("safetensors")
struct SafetensorsTests {
    static let small = SafetensorsBytes(
        [
            (name: "m.0.w", dtype: "F32", shape: [2, 3], data: littleEndian([1, 2, 3, 4, 5, 6])),
            (name: "m.1.w", dtype: "BF16", shape: [2, 2], data: [0, 1, 2, 3, 4, 5, 6, 7]),
            (name: "empty", dtype: "F16", shape: [0, 4], data: []),
            (name: "scalar", dtype: "I8", shape: [], data: [42]),
        ], metadata: #"{"format":"pt","note":"a \"quoted\" text"}"#)

    @Test("names, types, shapes, metadata and bytes are read in file order")
    func reading() throws {
        let folder = TemporaryFolder()
        let checkpoint = try Checkpoint.open(folder.write("x.safetensors", SafetensorsTests.small.bytes))
        #expect(checkpoint.form == .safetensors)
        #expect(
            try Contents(checkpoint).tensors
                == ["m.0.w F32 [2, 3]", "m.1.w BF16 [2, 2]", "empty F16 [0, 4]", "scalar I8 []"])
        #expect(
            try Contents(checkpoint).bytes == [littleEndian([1, 2, 3, 4, 5, 6]), [0, 1, 2, 3, 4, 5, 6, 7], [], [42]])
        #expect(checkpoint.headerMetadata?["note"]?.string == "a \"quoted\" text")
        #expect(checkpoint.layerCount == 2)
        #expect(checkpoint.parameterCount == 11)
        #expect(checkpoint.byteCount == 33)
        #expect(checkpoint.tensor(named: "scalar")?.rowCount == 1)
        #expect(checkpoint.tensor(named: "missing") == nil)
    }

    @Test("what is written reads back equal, for any tensors", arguments: 1...10)
    func roundTrip(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var tensors: [(name: String, dtype: String, shape: [Int], data: [UInt8])] = []
        // Wider types first, as they are written.
        for (dtype, width) in [("F64", 8), ("F32", 4), ("BF16", 2), ("F8_E4M3", 1), ("BOOL", 1)] {
            for number in 0..<Int.random(in: 0...3, using: &generator) {
                let shape = (0..<Int.random(in: 0...3, using: &generator)).map { _ in
                    Int.random(in: 0...5, using: &generator)
                }
                let data = generator.bytes(shape.reduce(width, *))
                tensors.append((name: "\(dtype) e\u{301} \"\(number)\\n", dtype: dtype, shape: shape, data: data))
            }
        }
        let escaped = tensors.map {
            ($0.name.replacing("\"", with: "\\\"").replacing("\\n", with: "\\\\n"), $0.dtype, $0.shape, $0.data)
        }
        let folder = TemporaryFolder()
        let path = folder.write("a.safetensors", SafetensorsBytes(escaped, metadata: "{}").bytes)
        let checkpoint = try Checkpoint.open(path)
        let written = try CheckpointWriter(threads: 2).write(OutputPlan(checkpoint), to: folder("b.safetensors"))
        let again = try Checkpoint.open(folder("b.safetensors"))
        #expect(try Contents(again) == Contents(checkpoint))
        #expect(try Contents(written) == Contents(checkpoint))
        #expect(again.headerMetadata == checkpoint.headerMetadata)
        // A file that was written once is written the same again.
        try CheckpointWriter(threads: 1).write(OutputPlan(again), to: folder("c.safetensors"))
        #expect(Files.read(folder("c.safetensors")) == Files.read(folder("b.safetensors")))
    }

    @Test("the data of a written file is aligned to its elements")
    func alignment() throws {
        let folder = TemporaryFolder()
        let mixed = SafetensorsBytes([
            (name: "a", dtype: "U8", shape: [3], data: [1, 2, 3]),
            (name: "b", dtype: "F64", shape: [1], data: Array(repeating: 9, count: 8)),
            (name: "c", dtype: "BF16", shape: [1], data: [4, 5]),
        ])
        let checkpoint = try Checkpoint.open(folder.write("a.safetensors", mixed.bytes))
        let written = try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint), to: folder("b.safetensors"))
        for tensor in written.tensors {
            #expect((tensor.recipe.mappedRange?.byteOffset ?? 1) % tensor.dtype.blockByteCount == 0)
        }
        #expect(written.tensors.map(\.name) == ["b", "c", "a"])
    }

    @Test(
        "a tensor of every type is read and written as it was",
        arguments: DType.all.filter(\.isSafetensors).map(\.name))
    func types(name: String) throws {
        let dtype = try #require(DType(named: name))
        let folder = TemporaryFolder()
        // Rows of three elements: of less than a byte each, they fill bytes only all together.
        let count = 12 / dtype.blockCount * dtype.blockByteCount
        let data = (0..<count).map { UInt8(truncatingIfNeeded: $0 + 1) }
        let file = SafetensorsBytes([
            (name: "a.0.w", dtype: name, shape: [4, 3], data: data),
            (name: "a.1.w", dtype: name, shape: [2, 0], data: []),
        ])
        let checkpoint = try Checkpoint.open(folder.write("a.safetensors", file.bytes))
        #expect(try Contents(checkpoint).bytes == [data, []])
        #expect(checkpoint.parameterCount == 12)
        try CheckpointWriter(threads: 2).write(OutputPlan(checkpoint), to: folder("b.safetensors"))
        #expect(try Contents(Checkpoint.open(folder("b.safetensors"))) == Contents(checkpoint))
    }

    @Test(
        "what the official library reads is read",
        arguments: [
            #"{"__metadata__":null}"#, "{}", " {\n}\t\r ",
            #"{"a":{"x":{"y":1,"y":2},"x":0e999,"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#,
            #"{"":{"data_offsets":[0,0],"dtype":"F\u0033\u0032","shape":[0,4611686018427387904,4611686018427387904]}}"#,
            #"{"a\u0000b":{"dtype":"F4","shape":[2,0],"data_offsets":[0,0]}}"#,
            #"{"a":{"x":"# + String(repeating: "[", count: 125) + String(repeating: "]", count: 125)
                + #","dtype":"I8","shape":[0],"data_offsets":[0,0]}}"#,
        ])
    func accepted(header: String) throws {
        let folder = TemporaryFolder()
        let path = folder.write("a.safetensors", SafetensorsBytes(header: header, data: []).bytes)
        #expect(try Checkpoint.open(path).byteCount == 0)
    }

    @Test("white space anywhere between tokens changes nothing, nor does the order of members")
    func spelling() throws {
        let folder = TemporaryFolder()
        let tokens = [
            "{", "\"a\"", ":", "{", "\"dtype\"", ":", "\"BF16\"", ",", "\"shape\"", ":", "[", "2", ",", "1", "]", ",",
            "\"data_offsets\"", ":", "[", "0", ",", "4", "]", "}", ",", "\"b\"", ":",
            #"{"shape":[1],"data_offsets":[4,5],"dtype":"I8"}"#, "}",
        ]
        for index in 0...tokens.count {
            for space in ["", " ", "\n\t", "\r\n  "] {
                let header = tokens[..<index].joined() + space + tokens[index...].joined()
                let file = SafetensorsBytes(header: header, data: [1, 2, 3, 4, 5])
                let checkpoint = try Checkpoint.open(folder.write("a.safetensors", file.bytes))
                #expect(try Contents(checkpoint).tensors == ["a BF16 [2, 1]", "b I8 [1]"], "\(header)")
                #expect(try Contents(checkpoint).bytes == [[1, 2, 3, 4], [5]])
            }
        }
    }

    @Test("names that differ only in composition are two tensors")
    func composition() throws {
        let folder = TemporaryFolder()
        let file = SafetensorsBytes([
            (name: "\u{e9}", dtype: "U8", shape: [1], data: [1]),
            (name: "e\u{301}", dtype: "U8", shape: [1], data: [2]),
        ])
        let checkpoint = try Checkpoint.open(folder.write("a.safetensors", file.bytes))
        let second = try #require(checkpoint.tensor(named: "e\u{301}"))
        #expect(try second.withBytes(rows: 0..<1) { $0[0] } == 2)
    }

    // MARK: hostile files

    private static func one(
        dtype: String = #""F32""#, shape: String = "[2]", offsets: String = "[0,8]", data: Int = 8
    ) -> [UInt8] {
        SafetensorsBytes(
            header: #"{"a":{"dtype":\#(dtype),"shape":\#(shape),"data_offsets":\#(offsets)}}"#,
            data: Array(repeating: 0, count: data)
        ).bytes
    }

    private static func two(_ first: String, _ second: String, name: String = "b") -> [UInt8] {
        func tensor(_ offsets: String) -> String { #"{"dtype":"F32","shape":[1],"data_offsets":\#(offsets)}"# }
        return SafetensorsBytes(
            header: #"{"a":\#(tensor(first)),"\#(name)":\#(tensor(second))}"#, data: Array(repeating: 0, count: 8)
        ).bytes
    }

    static let hostile: [Hostile] = [
        Hostile("nothing", [], "is empty"),
        Hostile("seven bytes", Array(repeating: 0, count: 7), "the header's length needs 8 bytes; the file has 7 more"),
        Hostile("a header of no bytes", littleEndian(UInt64(0)), "the header: not a JSON object (at byte 8)"),
        Hostile(
            "a header longer than the file", SafetensorsBytes(header: "{}", data: [], claimedLength: 3).bytes,
            "the header needs 3 bytes; the file has 2 more"),
        Hostile(
            "a header longer than any", SafetensorsBytes(header: "{}", data: [], claimedLength: .max).bytes,
            "claims a header of 18,446,744,073,709,551,615 bytes"),
        Hostile(
            "a header above the cap", SafetensorsBytes(header: "{}", data: [], claimedLength: 100_000_001).bytes,
            "at most 100,000,000 are allowed"),
        Hostile(
            "a header that is too short", SafetensorsBytes(header: "{}", data: [], claimedLength: 1).bytes,
            "a key in quotes is missing"),
        Hostile(
            "no JSON", SafetensorsBytes(header: "hello", data: []).bytes, "the header: not a JSON object (at byte 8)"),
        Hostile(
            "no object", SafetensorsBytes(header: "[]", data: []).bytes, "the header: not a JSON object (at byte 8)"),
        Hostile("no UTF-8", [4, 0, 0, 0, 0, 0, 0, 0] + [0x7B, 0x22, 0xFF, 0x22], "a string is not UTF-8"),
        Hostile(
            "a name twice", two("[0,4]", "[4,8]", name: #"\u0061"#), "tensor 'a' occurs twice in the header"),
        Hostile(
            "nested without end", SafetensorsBytes(header: String(repeating: #"{"a":"#, count: 50_000), data: []).bytes,
            "nested deeper than 127 levels"),
        Hostile(
            "metadata that is no text", SafetensorsBytes(header: #"{"__metadata__":{"a":1}}"#, data: []).bytes,
            "__metadata__ is not a map from text to text"),
        Hostile(
            "a tensor that is no object", SafetensorsBytes(header: #"{"a":[]}"#, data: []).bytes,
            "tensor 'a' has no dtype"),
        Hostile(
            "metadata twice", SafetensorsBytes(header: #"{"__metadata__":{},"__metadata__":{}}"#, data: []).bytes,
            "__metadata__ occurs twice"),
        Hostile(
            "a key of the metadata twice",
            SafetensorsBytes(header: #"{"__metadata__":{"a":"","a":""}}"#, data: []).bytes,
            "the key 'a' occurs twice"),
        Hostile("a member of a tensor twice", one(dtype: #""F32","dtype":"F32""#), "'dtype' occurs twice in 'a'"),
        Hostile(
            "a member nested too deep", one(dtype: String(repeating: "[", count: 126)), "nested deeper than 127 levels"),
        Hostile("a number out of range", one(dtype: "1e999"), "the header: a number is out of range"),
        Hostile("a dtype in an object", one(dtype: #"{"F32":null}"#), "has no dtype"),
        Hostile(
            "a tensor in an array", SafetensorsBytes(header: #"{"a":["F32",[0],[0,0]]}"#, data: []).bytes,
            "has no dtype"),
        Hostile("a dimension below zero by its sign", one(shape: "[-0,2]"), "has no shape of integers"),
        Hostile("a dimension with a zero before it", one(shape: "[02]"), "the header: not a JSON value"),
        Hostile(
            "a product that wraps before a dimension of 0",
            one(shape: "[4611686018427387904,4,0]", offsets: "[0,0]", data: 0), "cannot have the shape"),
        Hostile("text behind the header", one(shape: "[2]}} {{"), "text after the end of the value"),
        Hostile("no dtype", one(dtype: "7"), "has no dtype"),
        Hostile("an unknown dtype", one(dtype: #""F31""#), "has the unknown dtype 'F31'"),
        Hostile("a dtype in small letters", one(dtype: #""f32""#), "has the unknown dtype 'f32'"),
        Hostile("a dtype of GGUF", one(dtype: #""Q8_0""#), "has the unknown dtype 'Q8_0'"),
        Hostile("no shape", one(shape: "null"), "has no shape of integers"),
        Hostile("a negative dimension", one(shape: "[-2]"), "has no shape of integers"),
        Hostile("a broken dimension", one(shape: "[2.0]"), "has no shape of integers"),
        Hostile("a dimension beyond 64 bits", one(shape: "[99999999999999999999]"), "has no shape of integers"),
        Hostile("a shape whose product wraps", one(shape: "[4611686018427387904,4]"), "cannot have the shape"),
        Hostile("a shape whose bytes wrap", one(shape: "[4611686018427387904]"), "cannot have the shape"),
        Hostile(
            "offsets of the wrong size", one(offsets: "[0,4]"),
            "of type F32 and shape [2] needs 8 bytes; its offsets span 4"),
        Hostile("offsets in reverse", one(offsets: "[8,0]"), "has no data_offsets in order"),
        Hostile("a negative offset", one(offsets: "[-8,0]"), "has no data_offsets in order"),
        Hostile("three offsets", one(offsets: "[0,8,16]"), "has no data_offsets in order"),
        Hostile("offsets that are text", one(offsets: #"["0","8"]"#), "has no data_offsets in order"),
        Hostile(
            "offsets at the end of 64 bits", one(offsets: "[9223372036854775799,9223372036854775807]"),
            "starts at offset 9,223,372,036,854,775,799 of the data; expected 0"),
        Hostile("data that is too short", one(data: 7), "needs 8 bytes at offset"),
        Hostile("data that is too long", one(data: 9), "the tensors cover 8 bytes of data; the file has 9"),
        Hostile(
            "a hole at the start", one(offsets: "[4,12]", data: 12), "starts at offset 4 of the data; expected 0"),
        Hostile(
            "a hole in the middle", two("[0,4]", "[8,12]"), "tensor 'b' starts at offset 8 of the data; expected 4"),
        Hostile("an overlap", two("[0,4]", "[2,6]"), "tensor 'b' starts at offset 2 of the data; expected 4"),
        Hostile("the same place twice", two("[0,4]", "[0,4]"), "starts at offset 0 of the data; expected 4"),
        Hostile(
            "six-bit elements that fill no bytes", one(dtype: #""F6_E2M3""#, shape: "[2]", offsets: "[0,1]", data: 1),
            "cannot have the shape [2]"),
    ]

    @Test("a file that lies is refused, with the reason", arguments: hostile)
    func refused(file: Hostile) { file.expectRefusal(fileName: "a.safetensors") }

    @Test("a file that is cut anywhere is refused")
    func truncation() {
        let folder = TemporaryFolder()
        let bytes = SafetensorsTests.small.bytes
        for count in 0..<bytes.count {
            let path = folder.write("cut.safetensors", Array(bytes[..<count]))
            #expect(throws: CheckpointError.self, "\(count) bytes") { try Checkpoint.open(path) }
        }
    }

    @Test("no change of one byte of a header does harm")
    func mutation() throws {
        let folder = TemporaryFolder()
        let bytes = SafetensorsTests.small.bytes
        var generator = SeededGenerator(seed: 51)
        for index in 0..<bytes.count - SafetensorsTests.small.data.count {
            var changed = bytes
            changed[index] = UInt8.random(in: 0...255, using: &generator)
            do {
                let checkpoint = try Checkpoint.open(folder.write("m.safetensors", changed))
                _ = try Contents(checkpoint)
            } catch {
                expect(error as? CheckpointError, "")
            }
        }
    }
}
