import Checkpoints
import Formats
import TestSupport
import Testing

/// Archives give back what went in, and are read as models without being unpacked.
@Suite("archives")
struct ArchiveTests {
    /// Bytes that are worth about so many bits each, so that some planes are compressed and some are not.
    static func bytes(_ count: Int, bits: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...UInt8(1 << bits - 1), using: &generator) }
    }

    /// Packs a file or a folder, unpacks it, and holds both and the opened archive against the original.
    static func expectRoundTrip(
        _ path: String, threads: Int = 2, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let folder = TemporaryFolder()
        let original = try Checkpoint.open(path)
        let archive = folder("x.resect")
        let summary = try ArchivePacker(threads: threads).pack(original, to: archive)
        #expect(summary.byteCount == Files.read(archive).count, sourceLocation: sourceLocation)
        try ArchiveUnpacker(threads: threads).unpack(archive, to: folder("back"))
        if original.form == .folder || original.sources.count > 1 {
            for file in Files.names(folder("back")) {
                let source =
                    original.form == .folder ? path : path.split(separator: "/").dropLast().joined(separator: "/")
                let index = original.form == .folder ? source : "/" + source
                #expect(
                    Files.read(index + "/" + file) == Files.read(folder("back/" + file)), "\(file)",
                    sourceLocation: sourceLocation)
            }
        } else {
            #expect(Files.read(path) == Files.read(folder("back")), sourceLocation: sourceLocation)
        }
        let packed = try Checkpoint.open(archive)
        #expect(try Contents(packed) == Contents(original), sourceLocation: sourceLocation)
        #expect(
            packed.config == original.config && packed.metadata == original.metadata, sourceLocation: sourceLocation)
        #expect(packed.companions.map(\.name) == original.companions.map(\.name), sourceLocation: sourceLocation)
        #expect(packed.form == original.form, sourceLocation: sourceLocation)
        #expect(packed.sources.count == original.sources.count, sourceLocation: sourceLocation)
    }

    @Test("a trained model comes back, all files of its folder")
    func trained() throws {
        try ArchiveTests.expectRoundTrip(Fixture.model)
        let folder = TemporaryFolder()
        let summary = try ArchivePacker(threads: 2).pack(try Checkpoint.open(Fixture.model), to: folder("x.resect"))
        #expect(Double(summary.byteCount) < 0.67 * Double(summary.originalByteCount))
    }

    @Test("hidden files, empty files, and weights beside the model's own travel; folders are named as left out")
    func folder() throws {
        let folder = TemporaryFolder()
        let model = folder.makeFolder("model")
        folder.makeFolder("model/onnx")
        Files.write(
            model + "/model.safetensors", SafetensorsBytes([("a", "F32", [2], [0, 0, 128, 63, 1, 2, 3, 4])]).bytes)
        Files.write(model + "/other.safetensors", SafetensorsBytes([("b", "F16", [3], [1, 2, 3, 4, 5, 6])]).bytes)
        Files.write(model + "/broken.safetensors", [1, 2, 3])
        Files.write(model + "/config.json", Array("{}".utf8))
        Files.write(model + "/.hidden", [7])
        Files.write(model + "/empty.bin", [])
        try ArchiveTests.expectRoundTrip(model)
        let summary = try ArchivePacker(threads: 1).pack(try Checkpoint.open(model), to: folder("x.resect"))
        #expect(summary.leftOut == ["onnx"])
        #expect(summary.files == 6)
    }

    @Test("GGUF tensors of every type come back", arguments: [3, 8])
    func ggufTypes(bits: Int) throws {
        var generator = SeededGenerator(seed: 11)
        let tensors = DType.all.compactMap { dtype -> GGUFBytes.Tensor? in
            guard let type = dtype.ggml else { return nil }
            // Enough for the sampled trial in some, odd numbers of blocks in all.
            let blocks = dtype.blockByteCount < 40 ? 3001 : 301
            return GGUFBytes.Tensor(
                dtype.name, type: type, shape: [UInt64(blocks), UInt64(dtype.blockCount)],
                data: ArchiveTests.bytes(blocks * dtype.blockByteCount, bits: bits, &generator))
        }
        let folder = TemporaryFolder()
        let file = GGUFBytes([("general.architecture", .text("toy"))], tensors)
        try ArchiveTests.expectRoundTrip(folder.write("all.gguf", file.bytes))
    }

    @Test("safetensors of every type come back, empty ones and scalars too")
    func safetensorsTypes() throws {
        var generator = SeededGenerator(seed: 12)
        var tensors: [(name: String, dtype: String, shape: [Int], data: [UInt8])] = []
        for dtype in DType.all where dtype.isSafetensors {
            for blocks in [0, 1, 5, 64, 4099] {
                tensors.append(
                    (
                        "\(dtype.name).\(blocks)", dtype.name, [blocks, dtype.blockCount],
                        ArchiveTests.bytes(blocks * dtype.blockByteCount, bits: 4, &generator)
                    ))
            }
        }
        let folder = TemporaryFolder()
        let path = folder.write("all.safetensors", SafetensorsBytes(tensors, metadata: #"{"format":"pt"}"#).bytes)
        try ArchiveTests.expectRoundTrip(path)
    }

    /// A file whose tensors take several pieces, one of them in rows longer than a piece.
    private static func large(_ folder: TemporaryFolder) -> String {
        var generator = SeededGenerator(seed: 13)
        let weights = generator.floats(700_001, scale: 0.05)
        let short = weights.flatMap { littleEndian(UInt16($0.bitPattern >> 16)) }
        let zeros = [UInt8](repeating: 0, count: 3 << 20)
        return folder.write(
            "large.safetensors",
            SafetensorsBytes([
                ("f32", "F32", [7, 100_000], Array(littleEndian(weights).prefix(2_800_000))),
                ("bf16", "BF16", [1, 700_001], short), ("zeros", "BF16", [3, 1 << 19], zeros),
            ]).bytes)
    }

    @Test("the archive does not depend on the number of threads")
    func threads() throws {
        let folder = TemporaryFolder()
        let model = try Checkpoint.open(ArchiveTests.large(folder))
        for threads in 1...4 { try ArchivePacker(threads: threads).pack(model, to: folder("\(threads).resect")) }
        for threads in 2...4 {
            #expect(Files.read(folder("1.resect")) == Files.read(folder("\(threads).resect")))
        }
        try ArchiveTests.expectRoundTrip(model.path, threads: 3)
    }

    @Test("any bytes of any tensor are read as they were")
    func rows() throws {
        let folder = TemporaryFolder()
        let model = try Checkpoint.open(ArchiveTests.large(folder))
        try ArchivePacker(threads: 2).pack(model, to: folder("x.resect"))
        let packed = try Checkpoint.open(folder("x.resect"))
        var generator = SeededGenerator(seed: 14)
        for _ in 0..<60 {
            let index = Int.random(in: 0..<3, using: &generator)
            let end = Int.random(in: 0...model.tensors[index].byteCount, using: &generator)
            let start = Int.random(in: 0...end, using: &generator)
            func bytes(_ checkpoint: Checkpoint) throws -> [UInt8] {
                try checkpoint.tensors[index].recipe.withBytes(rows: start..<end, rowByteCount: 1) { [UInt8]($0) }
            }
            #expect(try bytes(packed) == bytes(model))
        }
    }

    @Test("what is written from an archive is what is written from the original", arguments: [1, 3])
    func writing(threads: Int) throws {
        let folder = TemporaryFolder()
        let model = try Checkpoint.open(ArchiveTests.large(folder))
        try ArchivePacker(threads: 2).pack(model, to: folder("x.resect"))
        let writer = CheckpointWriter(threads: threads)
        try writer.write(OutputPlan(model), to: folder("a.safetensors"))
        try writer.write(OutputPlan(try Checkpoint.open(folder("x.resect"))), to: folder("b.safetensors"))
        #expect(Files.read(folder("a.safetensors")) == Files.read(folder("b.safetensors")))
    }

    @Test("the shards of a split travel together")
    func shards() throws {
        let folder = TemporaryFolder()
        for shard in 0..<2 {
            var pairs: [(key: String, value: GGUFBytes.Value)] = [("general.architecture", .text("toy"))]
            pairs += [
                ("split.no", .init(type: 2, bytes: littleEndian(UInt16(shard)))),
                ("split.count", .init(type: 2, bytes: littleEndian(UInt16(2)))),
                ("split.tensors.count", .init(type: 5, bytes: littleEndian(Int32(2)))),
            ]
            let tensor = GGUFBytes.Tensor("t\(shard)", shape: [4], data: littleEndian([1, 2, 3, Float(shard)]))
            folder.write("m-0000\(shard + 1)-of-00002.gguf", GGUFBytes(pairs, [tensor]).bytes)
        }
        try ArchiveTests.expectRoundTrip(folder("m-00002-of-00002.gguf"))
    }

    @Test("a changed byte anywhere is found, or changes nothing")
    func damage() throws {
        var generator = SeededGenerator(seed: 15)
        let folder = TemporaryFolder()
        let weights = generator.floats(40, scale: 0.05).flatMap { littleEndian(UInt16($0.bitPattern >> 16)) }
        let original = SafetensorsBytes([
            ("w", "BF16", [40], weights), ("z", "BF16", [100], [UInt8](repeating: 0, count: 200)),
        ]).bytes
        let model = try Checkpoint.open(folder.write("m.safetensors", original))
        try ArchivePacker(threads: 1).pack(model, to: folder("x.resect"))
        let bytes = Files.read(folder("x.resect"))
        for index in bytes.indices {
            var wrong = bytes
            wrong[index] ^= UInt8.random(in: 1...255, using: &generator)
            folder.write("y.resect", wrong)
            do throws(CheckpointError) {
                try ArchiveUnpacker(replaces: true, threads: 1).unpack(folder("y.resect"), to: folder("out"))
                #expect(Files.read(folder("out")) == original, "byte \(index)")
            } catch {
                #expect(error.file != nil)
            }
        }
        #expect(folder.names.filter { $0.hasPrefix(".") } == [])
    }
}
