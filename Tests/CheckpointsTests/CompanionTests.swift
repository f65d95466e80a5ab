import Checkpoints
import TestSupport
import Testing

@Suite("what travels with the weights of a folder")
struct CompanionTests {
    private static let weights = SafetensorsBytes([("h.0.w", "U8", [1], [1])]).bytes

    /// A model folder with the given files, in the sub-folders that their names say.
    private static func folder(_ files: [(String, [UInt8])]) -> TemporaryFolder {
        let folder = TemporaryFolder()
        folder.makeFolder("m")
        var made: Set<String> = []
        for (name, bytes) in [("model.safetensors", weights), ("config.json", Array("{}".utf8))] + files {
            let parts = name.split(separator: "/").dropLast()
            for count in parts.indices where made.insert(parts[...count].joined(separator: "/")).inserted {
                folder.makeFolder("m/" + parts[...count].joined(separator: "/"))
            }
            folder.write("m/" + name, bytes)
        }
        return folder
    }

    private static func texts(_ names: String...) -> [(String, [UInt8])] { names.map { ($0, Array("\($0)!".utf8)) } }

    @Test("sub-folders are copied as they are, and replaced with --force")
    func subfolders() throws {
        let names = ["1_Pooling/config.json", "additional_chat_templates/tool_use.jinja", "a/b/c/d.txt", "README.md"]
        let folder = CompanionTests.folder(names.map { ($0, Array("\($0)!".utf8)) })
        let checkpoint = try Checkpoint.open(folder("m"))
        #expect(Set(checkpoint.companions.map(\.name)) == Set(names) && checkpoint.leftOut.isEmpty)
        let writer = CheckpointWriter(replaces: true, threads: 1)
        for _ in 0..<2 {
            let written = try writer.write(OutputPlan(checkpoint), to: folder("out"))
            #expect(Set(written.companions.map(\.name)) == Set(names))
            for name in names { #expect(Files.read(folder("out/" + name)) == Array("\(name)!".utf8)) }
            #expect(folder.names == ["m", "out"])
        }
        // Something of the user's in a sub-folder is not removed.
        for (name, isFolder) in [("1_Pooling/notes.odt", false), ("a/.git", true), ("a/b/empty", true)] {
            if isFolder { folder.makeFolder("out/" + name) } else { folder.write("out/" + name, "mine") }
            let error = #expect(throws: CheckpointError.self) {
                try writer.write(OutputPlan(checkpoint), to: folder("out"))
            }
            expect(error, "is a folder with other contents than a checkpoint")
            if isFolder {
                #expect(Files.names(folder("out/a")).contains("b"))
            } else {
                Files.remove(folder("out/" + name))
            }
            if isFolder { break }
        }
    }

    @Test("other weights, and what lies beside them, stay behind and are named")
    func leftOut() throws {
        let folder = CompanionTests.folder(
            CompanionTests.texts(
                "onnx/model.onnx", "onnx/config.json", "original/consolidated.00.pth", "original/params.json",
                "checkpoint-500/model.safetensors", "checkpoint-500/config.json", ".cache/a.json", "logs/events.out",
                "picture.png", "pytorch_model.bin", "consolidated.safetensors", "params.json", "tool/a.py", "tool/b.so")
        )
        let checkpoint = try Checkpoint.open(folder("m"))
        #expect(checkpoint.companions.map(\.name) == ["tool/a.py"])
        #expect(
            checkpoint.leftOut == [
                "checkpoint-500/", "consolidated.safetensors", "logs/", "onnx/", "original/", "params.json",
                "picture.png", "pytorch_model.bin", "tool/b.so",
            ])
    }

    @Test("sub-folders that modules.json names travel with their weights")
    func modules() throws {
        let dense: [(String, [UInt8])] = [
            ("modules.json", Array(#"[{"idx":0,"path":""},{"idx":2,"path":"2_Dense","type":"Dense"}]"#.utf8)),
            ("2_Dense/model.safetensors", CompanionTests.weights), ("2_Dense/config.json", Array("{}".utf8)),
        ]
        let folder = CompanionTests.folder(dense)
        let checkpoint = try Checkpoint.open(folder("m"))
        let writer = CheckpointWriter(replaces: true, threads: 1)
        for _ in 0..<2 { try writer.write(OutputPlan(checkpoint), to: folder("out")) }
        #expect(Files.read(folder("out/2_Dense/model.safetensors")) == CompanionTests.weights)
        #expect(checkpoint.tensors.count == 1)
    }

    @Test("an adapter beside the model stays behind")
    func adapter() throws {
        let folder = CompanionTests.folder(CompanionTests.texts("adapter_config.json", "adapter_model.safetensors"))
        let checkpoint = try Checkpoint.open(folder("m"))
        #expect(checkpoint.content == .model && checkpoint.companions.isEmpty)
        #expect(checkpoint.leftOut == ["adapter_config.json", "adapter_model.safetensors"])
    }

    @Test("a text that is too large stays behind, in the folder and below it; a tokenizer does not")
    func large() throws {
        let folder = CompanionTests.folder(
            CompanionTests.texts("corpus.txt", "sub/corpus.txt", "sub/small.txt", "tokenizer-log.txt"))
        for name in ["m/corpus.txt", "m/sub/corpus.txt", "m/tokenizer-log.txt"] {
            Files.truncate(folder(name), (64 << 20) + 1)
        }
        let checkpoint = try Checkpoint.open(folder("m"))
        #expect(checkpoint.leftOut == ["corpus.txt", "sub/corpus.txt", "tokenizer-log.txt"])
        #expect(checkpoint.companions.map(\.name) == ["sub/small.txt"])
        folder.write("m/tokenizer.json", "{}")
        Files.truncate(folder("m/tokenizer.json"), (64 << 20) + 1)
        expectFailure(opening: folder("m"), "tokenizer.json: has 67,108,865 bytes; at most 67,108,864 are read")
    }

    @Test("links of sub-folders do not lead out, nor round in circles")
    func links() throws {
        let folder = CompanionTests.folder(CompanionTests.texts("sub/a.txt"))
        folder.write("secret.txt", "secret")
        folder.makeFolder("elsewhere")
        folder.write("elsewhere/b.txt", "b")
        Files.symbolicLink(folder("m/sub/secret.txt"), to: "../../secret.txt")
        Files.symbolicLink(folder("m/sub/round"), to: "..")
        Files.symbolicLink(folder("m/out"), to: "../elsewhere")
        let checkpoint = try Checkpoint.open(folder("m"))
        #expect(checkpoint.companions.map(\.name) == ["sub/a.txt"])
        #expect(checkpoint.leftOut == ["out", "sub/round", "sub/secret.txt"])
    }

    @Test("archives hold sub-folders, and no file that a link leads out to")
    func archives() throws {
        let folder = CompanionTests.folder(
            CompanionTests.texts("1_Pooling/config.json", "1_Pooling/x.bin", "a/b/c.txt", "picture.png"))
        folder.write("secret", "secret")
        Files.symbolicLink(folder("m/.secret"), to: folder("secret"))
        Files.symbolicLink(folder("m/link.png"), to: "picture.png")
        Files.remove(folder("m/1_Pooling/x.bin"))
        let original = try Checkpoint.open(folder("m"))
        let summary = try ArchivePacker(threads: 1).pack(original, to: folder("x.resect"))
        #expect(summary.leftOut == [".secret"] && summary.files == 6)
        let packed = try Checkpoint.open(folder("x.resect"))
        #expect(packed.companions.map(\.name) == original.companions.map(\.name))
        #expect(packed.leftOut == original.leftOut)
        try CheckpointWriter(threads: 1).write(OutputPlan(packed), to: folder("out"))
        #expect(Files.read(folder("out/a/b/c.txt")) == Array("a/b/c.txt!".utf8))
        let unpacker = ArchiveUnpacker(replaces: true, threads: 1)
        for _ in 0..<2 { try unpacker.unpack(folder("x.resect"), to: folder("back")) }
        for name in ["1_Pooling/config.json", "a/b/c.txt", "picture.png", "link.png", "model.safetensors"] {
            #expect(Files.read(folder("back/" + name)) == Files.read(folder("m/" + name)))
        }
    }
}
