import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("outputs in shards")
struct ShardTests {
    private static func gguf(_ sizes: [Int], alignment: Int = 32) -> GGUFBytes {
        var file = GGUFBytes(
            [("general.architecture", .text("none"))],
            sizes.enumerated().map { index, size in
                .init(
                    "w\(index)", type: 24, shape: [UInt64(size)],
                    data: Array(repeating: UInt8(truncatingIfNeeded: index), count: size))
            })
        if alignment != 32 { file.pairs.append(("general.alignment", .u32(UInt32(alignment)))) }
        file.alignment = alignment
        return file
    }

    @Test(
        "a GGUF file ends before the tensor that would make it too large",
        arguments: [
            (1, [1, 1, 1, 1]), (64, [2, 1, 1]), (95, [2, 1, 1]), (96, [3, 1]), (130, [3, 1]), (96 + 320, [4]),
            (1 << 40, [4]),
        ])
    func splitting(limit: Int, counts: [Int]) throws {
        let folder = TemporaryFolder()
        let whole = ShardTests.gguf([20, 32, 10, 320])
        let checkpoint = try Checkpoint.open(folder.write("in.gguf", whole.bytes))
        let plan = try OutputPlan(checkpoint, shardByteCount: limit)
        #expect(plan.shardCount == counts.count)
        let written = try CheckpointWriter(threads: 2).write(plan, to: folder("x.gguf"))
        #expect(try Contents(written) == Contents(checkpoint))
        if counts.count == 1 {
            #expect(Files.read(folder("x.gguf")) == whole.bytes)
            return
        }
        let names = (1...counts.count).map { "x-0000\($0)-of-0000\(counts.count).gguf" }
        #expect(folder.names == ["in.gguf"] + names)
        for name in names {
            let again = try Checkpoint.open(folder(name))
            #expect(try Contents(again) == Contents(checkpoint))
            #expect(again.metadata == checkpoint.metadata)
            #expect(again.sources.map { Files.read($0.path).count } == plan.files.map(\.byteCount))
        }
    }

    @Test("each shard keeps the alignment")
    func alignment() throws {
        let folder = TemporaryFolder()
        let checkpoint = try Checkpoint.open(
            folder.write("in.gguf", ShardTests.gguf([200, 300], alignment: 256).bytes))
        try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint, shardByteCount: 256), to: folder("x.gguf"))
        let again = try Checkpoint.open(folder("x-00002-of-00002.gguf"))
        #expect(again.tensors.allSatisfy { ($0.recipe.mappedRange?.byteOffset ?? 1) % 256 == 0 })
        #expect(again.metadata["general.alignment"] == .u32(256))
    }

    @Test("shards are kept, also those without tensors")
    func kept() throws {
        let folder = TemporaryFolder()
        let sizes = [[], [20, 32], [10], [320, 5, 6]]
        for (number, part) in sizes.enumerated() {
            var file = ShardTests.gguf(part)
            let split: [(key: String, value: GGUFBytes.Value)] = [
                ("split.no", .u32(UInt32(number))), ("split.count", .u32(4)), ("split.tensors.count", .u32(6)),
            ]
            file.pairs += split
            for index in file.tensors.indices { file.tensors[index].name = "w\(number).\(index)" }
            folder.write("in-0000\(number + 1)-of-00004.gguf", file.bytes)
        }
        let checkpoint = try Checkpoint.open(folder("in-00003-of-00004.gguf"))
        #expect(checkpoint.shardTensorCounts == sizes.map(\.count))
        let plan = try OutputPlan(checkpoint, keepsShards: true)
        let written = try CheckpointWriter(threads: 2).write(plan, to: folder("x.gguf"))
        #expect(try Contents(written) == Contents(checkpoint))
        #expect(written.shardTensorCounts == sizes.map(\.count))
        var shorter = checkpoint
        shorter.tensors.removeLast()
        #expect(throws: CheckpointError.self) { try OutputPlan(shorter, keepsShards: true) }
    }

    @Test("a checkpoint of one file is kept in one")
    func keptWhole() throws {
        let folder = TemporaryFolder()
        let whole = ShardTests.gguf([20, 32])
        let checkpoint = try Checkpoint.open(folder.write("in.gguf", whole.bytes))
        try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint, keepsShards: true), to: folder("x.gguf"))
        #expect(Files.read(folder("x.gguf")) == whole.bytes)
    }

    @Test("a shard that exists is refused or replaced, and one that is the input is refused")
    func existing() throws {
        let folder = TemporaryFolder()
        let checkpoint = try Checkpoint.open(folder.write("in.gguf", ShardTests.gguf([64, 64]).bytes))
        let plan = try OutputPlan(checkpoint, shardByteCount: 64)
        folder.write("x-00002-of-00002.gguf", "kept")
        func expectRefusal(_ plan: OutputPlan, replaces: Bool, _ message: String) {
            let before = folder.names
            let error = #expect(throws: CheckpointError.self) {
                try CheckpointWriter(replaces: replaces, threads: 1).write(plan, to: folder("x.gguf"))
            }
            expect(error, message)
            #expect(folder.names == before)
        }
        expectRefusal(plan, replaces: false, "x-00002-of-00002.gguf: exists")
        try CheckpointWriter(replaces: true, threads: 1).write(plan, to: folder("x.gguf"))
        let split = try Checkpoint.open(folder("x-00001-of-00002.gguf"))
        #expect(try Contents(split) == Contents(checkpoint))
        expectRefusal(try OutputPlan(split, shardByteCount: 64), replaces: true, "x-00001-of-00002.gguf: is the input")
    }

    @Test("a folder is split as Hugging Face splits, with an index")
    func folders() throws {
        let folder = TemporaryFolder()
        let input = folder.makeFolder("in")
        let sizes = [10, 90, 300, 20, 100]
        let file = SafetensorsBytes(
            sizes.enumerated().map {
                (name: "h.\($0).w", dtype: "U8", shape: [$1], data: Array(repeating: 1, count: $1))
            })
        Files.write(input + "/model.safetensors", file.bytes)
        Files.write(input + "/config.json", Array("{}".utf8))
        let checkpoint = try Checkpoint.open(input)
        let plan = try OutputPlan(checkpoint, shardByteCount: 120)
        // The tensor above the limit stands before the file that is being filled.
        #expect(plan.files.map(\.name).last == "model.safetensors.index.json")
        #expect(plan.shardCount == 3)
        let written = try CheckpointWriter(threads: 2).write(plan, to: folder("out"))
        #expect(written.tensors.map(\.name) == ["h.2.w", "h.0.w", "h.1.w", "h.3.w", "h.4.w"])
        #expect(
            Files.names(folder("out"))
                == ["config.json"] + (1...3).map { "model-0000\($0)-of-00003.safetensors" } + [
                    "model.safetensors.index.json"
                ])
        let index = try JSON.parse(
            String(decoding: Files.read(folder("out/model.safetensors.index.json")), as: UTF8.self))
        #expect(index["metadata"]?["total_size"]?.int == 520)
        #expect(index["metadata"]?["total_parameters"]?.int == 520)
        #expect(index["weight_map"]?.object?.keys == ["h.0.w", "h.1.w", "h.2.w", "h.3.w", "h.4.w"])
        #expect(index["weight_map"]?["h.2.w"]?.string == "model-00001-of-00003.safetensors")
        try CheckpointWriter(threads: 1).write(OutputPlan(written, shardByteCount: 520), to: folder("one"))
        #expect(Files.names(folder("one")) == ["config.json", "model.safetensors"])
    }

    @Test("what cannot be split, or named, is refused")
    func refused() throws {
        let folder = TemporaryFolder()
        var checkpoint = try Checkpoint.open(
            folder.write("in.gguf", ShardTests.gguf(Array(repeating: 1, count: 65_536)).bytes))
        func expectRefusal(_ checkpoint: Checkpoint, limit: Int?, _ message: String) {
            expect(
                #expect(throws: CheckpointError.self) { try OutputPlan(checkpoint, shardByteCount: limit) }, message)
        }
        expectRefusal(checkpoint, limit: 1, "would be split into 65,536 files; at most 65,535 are possible")
        checkpoint.tensors.removeLast(65_534)
        checkpoint.tensors[1].name = "w0"
        expectRefusal(checkpoint, limit: nil, "tensor 'w0' would be in the output twice")
        checkpoint.tensors[1].name = "t.\u{0}"
        expectRefusal(checkpoint, limit: nil, "has a zero byte in its name")
        checkpoint.tensors[1].name = "t"
        checkpoint.metadata[""] = .u8(1)
        expectRefusal(checkpoint, limit: nil, "has metadata without a name")
        checkpoint.container = .safetensors(header: nil)
        expectRefusal(checkpoint, limit: 1, "is written as one safetensors file, which has no shards")
    }
}
