import Checkpoints
import Formats
import TestSupport
import Testing

@Suite("layouts that share blocks")
struct SharingTests {
    /// Layers whose bytes are whole blocks of a disk, as those of real models are.
    private static func model(_ folder: TemporaryFolder, headerPadding: Int) throws -> Checkpoint {
        let count = 32 << 20
        let members = (0..<4).map { layer in
            #""model.layers.\#(layer).w":{"dtype":"BF16","shape":[\#(count / 4096),2048],"#
                + #""data_offsets":[\#(layer * count),\#((layer + 1) * count)]}"#
        }
        let header = "{" + members.joined(separator: ",") + "}" + String(repeating: " ", count: headerPadding)
        let file = SafetensorsBytes(header: header, data: [])
        let path = folder.write("\(headerPadding).safetensors", file.bytes)
        // Holes but for one byte: the layouts alone matter here.
        Files.truncate(path, file.bytes.count + 4 * count)
        Files.overwrite(path, at: file.bytes.count + 3 * count, [7])
        return try Checkpoint.open(path)
    }

    @Test("untouched bytes keep their place in a block when tensors go", arguments: [0, 1, 7, 8, 100, 1000, 4095])
    func congruent(padding: Int) throws {
        let folder = TemporaryFolder()
        var checkpoint = try SharingTests.model(folder, headerPadding: padding)
        let sources = checkpoint.tensors.compactMap(\.recipe.mappedRange?.byteOffset)
        checkpoint.tensors.remove(at: 1)
        let written = try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint), to: folder("out.safetensors"))
        #expect(try written.tensors[2].withBytes(rows: 0..<1) { $0[0] } == 7)
        let places = written.tensors.compactMap(\.recipe.mappedRange?.byteOffset)
        // An input whose data does not begin at a multiple of 8 cannot be followed: data has to be aligned.
        let follows = (sources[0] - 8) % 8 == 0
        for (index, source) in zip(places, [sources[0], sources[2], sources[3]]) {
            #expect(((index - source) % 4096 == 0) == follows, "\(index) \(source)")
        }
        #expect(places[0] % 8 == 0)
    }

    @Test("a file without edits gets no padding")
    func unpadded() throws {
        let folder = TemporaryFolder()
        let checkpoint = try SharingTests.model(folder, headerPadding: 0)
        let again = try CheckpointWriter(threads: 1).write(OutputPlan(checkpoint), to: folder("again.safetensors"))
        let third = try CheckpointWriter(threads: 1).write(OutputPlan(again), to: folder("third.safetensors"))
        #expect(try OutputPlan(again).byteCount == OutputPlan(third).byteCount)
        #expect(try #require(again.tensors[0].recipe.mappedRange).byteOffset < 600)
    }
}
