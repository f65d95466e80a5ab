import Checkpoints
import Formats
import TestSupport
import Testing

/// Patches hold what differs from another checkpoint, and make the whole again only with that one.
@Suite("patches")
struct PatchTests {
    private static let layers = 6
    private static let count = 20_000

    /// A model of some layers with its own numbers in each; `changed` adds a little to one tensor.
    private static func model(
        _ folder: TemporaryFolder, _ name: String, layers: [Int], changed: Int? = nil, other: Bool = false
    ) -> String {
        var tensors: [(name: String, dtype: String, shape: [Int], data: [UInt8])] = []
        for (index, layer) in layers.enumerated() {
            for part in ["a", "b"] {
                var generator = SeededGenerator(seed: UInt64(layer * 2 + (part == "a" ? 0 : 1)))
                var values = generator.floats(count, scale: 0.05)
                if layer == changed, part == "a" {
                    for index in stride(from: 0, to: count, by: 50) { values[index] *= 1.01 }
                }
                tensors.append(
                    (
                        "model.layers.\(index).\(part).weight", "BF16", [count],
                        values.flatMap { littleEndian(UInt16($0.bitPattern >> 16)) }
                    ))
            }
        }
        if other { tensors.append(("head.weight", "F32", [3], littleEndian([1, 2, 3]))) }
        return folder.write(name, SafetensorsBytes(tensors).bytes)
    }

    @Test("a cut model with one changed tensor is a small patch, and comes back")
    func cut() throws {
        let folder = TemporaryFolder()
        let base = try Checkpoint.open(PatchTests.model(folder, "base.safetensors", layers: Array(0..<6)))
        let cut = PatchTests.model(folder, "cut.safetensors", layers: [0, 1, 4, 5], changed: 4, other: true)
        for threads in 1...2 {
            let path = folder("\(threads).resect")
            let summary = try ArchivePacker(threads: threads).pack(try Checkpoint.open(cut), against: base, to: path)
            #expect(summary.same == 7 && summary.differences == 1)
            // The changed tensor alone has 40,000 bytes.
            #expect(summary.byteCount < 6000)
            try ArchiveUnpacker(threads: threads).unpack(path, against: base, to: folder("\(threads)"))
            #expect(Files.read(folder("\(threads)")) == Files.read(cut))
        }
        #expect(Files.read(folder("1.resect")) == Files.read(folder("2.resect")))
    }

    @Test("the base may be an archive, or have other names")
    func forms() throws {
        let folder = TemporaryFolder()
        let base = try Checkpoint.open(PatchTests.model(folder, "base.safetensors", layers: Array(0..<3)))
        let cut = PatchTests.model(folder, "cut.safetensors", layers: [0, 2], changed: 2)
        try ArchivePacker(threads: 2).pack(base, to: folder("base.resect"))
        try ArchivePacker(threads: 2).pack(try Checkpoint.open(cut), against: base, to: folder("1.resect"))
        try ArchivePacker(threads: 2).pack(
            try Checkpoint.open(cut), against: try Checkpoint.open(folder("base.resect")), to: folder("2.resect"))
        #expect(Files.read(folder("1.resect")) == Files.read(folder("2.resect")))
        let reversed = PatchTests.model(folder, "reversed.safetensors", layers: [2, 1, 0])
        for (number, name) in ["base.resect", "base.safetensors", reversed].enumerated() {
            let path = name.hasPrefix("/") ? name : folder(name)
            try ArchiveUnpacker(threads: 2).unpack(
                folder("1.resect"), against: try Checkpoint.open(path), to: folder("out\(number)"))
            #expect(Files.read(folder("out\(number)")) == Files.read(cut))
        }
    }

    @Test("a patch needs its base, and a whole archive none")
    func refusals() throws {
        let folder = TemporaryFolder()
        let base = try Checkpoint.open(PatchTests.model(folder, "base.safetensors", layers: [0, 1]))
        let other = try Checkpoint.open(PatchTests.model(folder, "other.safetensors", layers: [0, 5]))
        let path = folder("x.resect")
        try ArchivePacker(threads: 2).pack(base, against: base, to: path)
        let whole = folder("whole.resect")
        try ArchivePacker(threads: 2).pack(base, to: whole)
        let before = folder.names
        func refuse(_ path: String, _ base: Checkpoint?, _ message: String) {
            let error = #expect(throws: CheckpointError.self) {
                try ArchiveUnpacker(threads: 2).unpack(path, against: base, to: folder("out"))
            }
            expect(error, message)
        }
        refuse(path, nil, "is a patch on another checkpoint")
        refuse(path, other, "tensor 'model.layers.1.a.weight' differs from the base of")
        refuse(whole, base, "is a whole archive, not a patch")
        expectFailure(opening: path, "is a patch on another checkpoint")
        #expect(folder.names == before)
    }

    @Test("a changed byte of a patch is found, or changes nothing")
    func damage() throws {
        var generator = SeededGenerator(seed: 16)
        let folder = TemporaryFolder()
        func file(_ name: String, _ third: UInt8) -> String {
            folder.write(
                name, SafetensorsBytes([("a", "U8", [3], [1, 2, third]), ("b", "U8", [2], [4, 5])]).bytes)
        }
        let base = try Checkpoint.open(file("base.safetensors", 3))
        let changed = file("changed.safetensors", 9)
        try ArchivePacker(threads: 1).pack(try Checkpoint.open(changed), against: base, to: folder("x.resect"))
        let bytes = Files.read(folder("x.resect"))
        for index in bytes.indices {
            var wrong = bytes
            wrong[index] ^= UInt8.random(in: 1...255, using: &generator)
            folder.write("y.resect", wrong)
            do throws(CheckpointError) {
                try ArchiveUnpacker(replaces: true, threads: 1).unpack(
                    folder("y.resect"), against: base, to: folder("out"))
                #expect(Files.read(folder("out")) == Files.read(changed), "byte \(index)")
            } catch {
                #expect(error.file != nil)
            }
        }
    }
}
