import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

@Suite("metadata that is set")
struct EditMetadataTests {
    private static func gguf() throws -> (folder: TemporaryFolder, checkpoint: Checkpoint) {
        let folder = TemporaryFolder()
        let file = GGUFBytes(
            [("general.architecture", .text("none")), ("k", .u32(1))],
            [.init("a", shape: [3], data: Array(0..<12)), .init("b", shape: [1], data: [1, 2, 3, 4])])
        return (folder, try Checkpoint.open(folder.write("in.gguf", file.bytes)))
    }

    @Test(
        "a value of every type is read from its text",
        arguments: [
            ("u8:255", .u8(255)), ("i8:-128", .i8(-128)), ("u16:65535", .u16(.max)), ("i16:-1", .i16(-1)),
            ("u32:7", .u32(7)),
            ("i32:-2147483648", .i32(.min)), ("u64:18446744073709551615", .u64(.max)),
            ("i64:-9223372036854775808", .i64(.min)), ("f32:0.1", .f32(0.1)), ("f64:1e-300", .f64(1e-300)),
            ("bool:true", .bool(true)), ("bool:false", .bool(false)), ("str:", .string("")),
            ("str:a:b=\"c\"", .string("a:b=\"c\"")),
            ("string:x", .string("x")), ("[i32]:1,2,3", .array(elementType: 5, [.i32(1), .i32(2), .i32(3)])),
            ("[str]:\"a\", \"b,c\"", .strings(["a", "b,c"])), ("[f32]:", .array(elementType: 6, [])),
            ("[bool]:true,false", .array(elementType: 7, [.bool(true), .bool(false)])),
        ] as [(String, GGUFValue)])
    func values(text: String, value: GGUFValue) throws {
        let (_, checkpoint) = try EditMetadataTests.gguf()
        let edited = try EditMetadata(setting: [.init(key: "new", value: text)]).apply(to: checkpoint)
        #expect(edited.metadata["new"] == value)
        #expect(edited.metadata.pairs.map(\.key) == ["general.architecture", "k", "new"])
    }

    @Test(
        "a text that is no value is refused",
        arguments: [
            "", "7", "u32", "u32:", "u32:-1", "u32:4294967296", "u8:256", "i8:+1", "u32:1.0", "u32:0x10", "u32: 1",
            "bool:1", "bool:True",
            "f32:x", "f32:", "u33:1", "array:1", "[array]:1", "[u8:1", "[]:1", "[u8]:1,", "[u8]:256", "[u8]:\"1\"",
            "[str]:a",
            "[i32]:1]", "[i32]:[1]", "U32:1",
        ])
    func refused(text: String) throws {
        let (_, checkpoint) = try EditMetadataTests.gguf()
        let error = #expect(throws: CheckpointError.self) {
            try EditMetadata(setting: [.init(key: "k", value: text)]).apply(to: checkpoint)
        }
        #expect(error?.problem == "metadata 'k' cannot have the value '\(text)'")
        #expect(error?.hint?.contains("TYPE:VALUE") == true)
    }

    @Test("another alignment lays the tensors out again")
    func alignment() throws {
        let (folder, checkpoint) = try EditMetadataTests.gguf()
        let edit = EditMetadata(removing: ["k"], setting: [.init(key: "general.alignment", value: "u32:512")])
        try CheckpointWriter(threads: 1).write(OutputPlan(edit.apply(to: checkpoint)), to: folder("out.gguf"))
        let again = try Checkpoint.open(folder("out.gguf"))
        #expect(again.tensors.map { $0.recipe.mappedRange?.byteOffset } == [512, 1024])
        #expect(again.metadata.pairs.map(\.key) == ["general.architecture", "general.alignment"])
        for (text, message) in [
            ("u32:3", "general.alignment is u32:3, not a power of two"), ("u32:0", "general.alignment is u32:0"),
            ("u64:32", "general.alignment is u64:32"), ("[u32]:32", "general.alignment is [u32]:32"),
        ] {
            let wrong = EditMetadata(setting: [.init(key: "general.alignment", value: text)])
            let error = #expect(throws: CheckpointError.self) { try OutputPlan(wrong.apply(to: checkpoint)) }
            #expect(error?.problem.contains(message) == true)
        }
    }

    @Test("what is not there, or follows from the files, is refused")
    func impossible() throws {
        let (_, checkpoint) = try EditMetadataTests.gguf()
        var error = #expect(throws: CheckpointError.self) {
            try EditMetadata(removing: ["missing"]).apply(to: checkpoint)
        }
        #expect(error?.problem == "has no metadata 'missing' to remove")
        error = #expect(throws: CheckpointError.self) {
            try EditMetadata(setting: [.init(key: "split.count", value: "u16:2")]).apply(to: checkpoint)
        }
        #expect(error?.problem == "metadata 'split.count' cannot be set")
    }

    @Test("config.json takes JSON, and a safetensors header text")
    func otherForms() throws {
        let model = try Checkpoint.open(Fixture.model)
        let edit = EditMetadata(
            removing: ["bos_token_id"],
            setting: [.init(key: "rope_theta", value: "1e6"), .init(key: "added", value: #"{"a":[1]}"#)])
        let edited = try edit.apply(to: model)
        #expect(edited.config?["rope_theta"] == .number("1e6"))
        #expect(edited.config?["added"]?["a"]?.array?.first?.int == 1)
        #expect(edited.config?["bos_token_id"] == nil)
        let error = #expect(throws: CheckpointError.self) {
            try EditMetadata(setting: [.init(key: "a", value: "{")]).apply(to: model)
        }
        #expect(error?.hint == "for a folder a value is JSON, as in config.json")
        let folder = TemporaryFolder()
        let single = try Checkpoint.open(
            folder.write("a.safetensors", SafetensorsBytes([(name: "a", dtype: "U8", shape: [1], data: [1])]).bytes))
        let text = try EditMetadata(setting: [.init(key: "note", value: "7")]).apply(to: single)
        #expect(text.headerMetadata?["note"] == .string("7"))
    }
}
