import Checkpoints
import TestSupport
import Testing

/// The names of the files of a split.
@Suite("names of a split")
struct ShardNameTests {
    @Test("the name of the whole follows from that of the first file alone")
    func whole() {
        #expect(ShardName.whole("a-b-00001-of-00003.gguf") == "a-b.gguf")
        for name in ["a-00002-of-00003.gguf", "a-of-3.gguf", "00001-of-00002", "a.gguf", "a-00001-of-x.gguf", ""] {
            #expect(ShardName.whole(name) == name)
        }
    }
}

@Suite("split GGUF files")
struct GGUFSplitTests {
    private static func shard(
        _ number: UInt32, of count: UInt32, _ tensors: [GGUFBytes.Tensor], total: UInt32 = 2
    ) -> [UInt8] {
        let split: [(key: String, value: GGUFBytes.Value)] = [
            ("split.no", .u32(number)), ("split.count", .u32(count)), ("split.tensors.count", .u32(total)),
        ]
        let first = number == 0 ? [GGUFTests.architecture, ("toy.block_count", .u32(2))] : []
        return GGUFBytes(first + split, tensors).bytes
    }

    private static let first = shard(0, of: 2, [.init("blk.0.w", shape: [1], data: [1, 2, 3, 4])])
    private static let second = shard(1, of: 2, [.init("blk.1.w", shape: [1], data: [5, 6, 7, 8])])

    @Test("any shard opens the whole", arguments: ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"])
    func whole(name: String) throws {
        let folder = TemporaryFolder()
        folder.write("m-00001-of-00002.gguf", GGUFSplitTests.first)
        folder.write("m-00002-of-00002.gguf", GGUFSplitTests.second)
        let checkpoint = try Checkpoint.open(folder(name))
        #expect(checkpoint.tensors.map(\.name) == ["blk.0.w", "blk.1.w"])
        #expect(checkpoint.metadata.pairs.map(\.key) == ["general.architecture", "toy.block_count"])
        #expect(checkpoint.sources.count == 2)
        try checkpoint.checkConsistency()
        try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint), to: folder("whole.gguf"))
        #expect(try Contents(Checkpoint.open(folder("whole.gguf"))) == Contents(checkpoint))
    }

    @Test("a shard that is missing, foreign or renamed is refused")
    func refused() {
        let folder = TemporaryFolder()
        let path = folder.write("m-00001-of-00002.gguf", GGUFSplitTests.first)
        expectFailure(opening: path, "m-00002-of-00002.gguf: cannot open: no such file or directory")
        folder.write("m-00002-of-00002.gguf", GGUFSplitTests.first)
        expectFailure(opening: path, "is not shard 2 of 2, as its name states")
        folder.write(
            "m-00002-of-00002.gguf", GGUFSplitTests.shard(1, of: 2, [.init("blk.0.w", shape: [1], data: [5, 6, 7, 8])]))
        expectFailure(opening: path, "tensor 'blk.0.w' is in another shard too")
        folder.write("m-00002-of-00002.gguf", GGUFSplitTests.shard(1, of: 2, []))
        expectFailure(opening: path, "the shards have 1 tensors; split.tensors.count is 2")
        expectFailure(
            opening: folder.write("x.gguf", GGUFSplitTests.first), "its name does not end with '-00001-of-00002.gguf'")
    }

    @Test(
        "numbers of shards that cannot be are refused",
        arguments: [
            (UInt64(Int64.max), 2), (.max, 2), (5, 2), (0, UInt64(Int64.max)), (0, 1_000_000),
            (UInt64(Int64.max), UInt64(Int64.max)),
        ] as [(UInt64, UInt64)])
    func hostile(number: UInt64, count: UInt64) {
        let folder = TemporaryFolder()
        let file = GGUFBytes([
            GGUFTests.architecture, ("split.no", .init(type: 10, bytes: littleEndian(number))),
            ("split.count", .init(type: 10, bytes: littleEndian(count))),
        ])
        expectFailure(opening: folder.write("m-00001-of-00002.gguf", file.bytes), "")
    }
}
