import Foundation
import TestSupport
import Testing

@Suite("inputs that change while they are read", .serialized)
struct TruncationTests {
    /// A model of one tensor of zeros that takes no room on the disk, and seconds to compute with.
    private static func model(_ folder: TemporaryFolder) -> String {
        let file = GGUFBytes(
            [("general.architecture", .text("toy")), ("toy.block_count", .u32(1))],
            [.init("blk.0.ffn_up.weight", shape: [1 << 19, 1024], data: [])])
        let path = folder.write("big.gguf", file.bytes)
        Files.truncate(path, file.bytes.count + (2 << 30))
        return path
    }

    @Test(
        "a truncated or changed input ends in an error that names it, and leaves nothing",
        arguments: [
            ["quantize", "big.gguf", "-o", "out.gguf", "--type", "Q4_K_M"],
            ["quantize", "big.gguf", "-o", "-", "--type", "Q4_K_M"],
            ["quantize", "big.gguf", "-o", "out.gguf", "--type", "F16"],
        ], [true, false])
    func changed(arguments: [String], truncates: Bool) throws {
        let folder = TemporaryFolder()
        let model = TruncationTests.model(folder)
        let before = folder.names
        let process = Program.process(Program.path, arguments + ["--threads", "1"], in: folder)
        let errors = Pipe()
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        // Well before a machine has computed half a billion elements.
        usleep(150_000)
        if truncates {
            Files.truncate(model, 1 << 20)
        } else {
            Files.overwrite(model, at: 1 << 30, [1])
        }
        let complaints = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationReason == .exit)
        #expect(process.terminationStatus == 2, "\(complaints)")
        #expect(
            complaints.contains(
                truncates
                    ? "big.gguf: became shorter than 2,147,48"
                    : "big.gguf: was changed while it was read"), "\(complaints)")
        #expect(folder.names == before)
    }
}
