import Foundation
import Testing
import TestSupport

@Suite("signals and streams", .serialized)
struct SignalTests {
    /// A model of two layers, whose zeros take no room on the disk.
    private static func sparseModel(_ folder: TemporaryFolder, layerByteCount: Int) -> String {
        let shape = [UInt64(layerByteCount / 4096), 1024]
        let file = GGUFBytes(
            [("general.architecture", .text("toy")), ("toy.block_count", .u32(2))],
            [
                .init("blk.0.ffn_up.weight", shape: shape, data: []),
                .init("blk.1.ffn_up.weight", shape: shape, data: [], claimedOffset: UInt64(layerByteCount)),
            ])
        let path = folder.write("big.gguf", file.bytes)
        Files.truncate(path, file.bytes.count + 2 * layerByteCount)
        return path
    }

    @Test(
        "a signal ends the program within a second and leaves nothing behind",
        arguments: [SIGINT, SIGTERM, SIGHUP], ["out.gguf", "kept.gguf"])
    func signals(signal: Int32, output: String) throws {
        let folder = TemporaryFolder()
        // Two gigabytes take seconds.
        let model = SignalTests.sparseModel(folder, layerByteCount: 1 << 30)
        folder.write("kept.gguf", "as it was")
        let before = folder.tree
        let process = Program.process(
            Program.path, ["quantize", model, "-o", folder(output), "--type", "Q4_K_M", "--force"], in: folder)
        try process.run()
        let start = ContinuousClock.now
        // The signal comes when the output has begun.
        while folder.names.count == before.count, process.isRunning, ContinuousClock.now - start < .seconds(20) {
            usleep(2000)
        }
        try #require(process.isRunning && folder.names.count > before.count)
        usleep(.random(in: 0..<50_000))
        let sent = ContinuousClock.now
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        #expect(ContinuousClock.now - sent < .seconds(1))
        // A shell sees 128 and the number.
        #expect(process.terminationReason == .uncaughtSignal)
        #expect(process.terminationStatus == signal)
        #expect(folder.tree == before)
        #expect(String(decoding: Files.read(folder("kept.gguf")), as: UTF8.self) == "as it was")
    }

    @Test("a signal at any moment of writing a folder leaves all of it or nothing", arguments: [false, true])
    func folders(replaces: Bool) throws {
        let folder = TemporaryFolder()
        let arguments = ["cut", Fixture.path("tiny/llama3"), "-o", folder("out"), "--quiet", "--force", "--layers"]
        func run(_ layers: String) throws -> Process {
            let process = Program.process(Program.path, arguments + [layers], in: folder)
            try process.run()
            return process
        }
        try run("0:1").waitUntilExit()
        let old = folder.tree
        try run("0:2").waitUntilExit()
        let new = folder.tree
        #expect(old != new)
        for round in 0..<16 {
            try FileManager.default.removeItem(atPath: folder("out"))
            if replaces { try run("0:1").waitUntilExit() }
            let process = try run("0:2")
            usleep(UInt32(round * 600))
            kill(process.processIdentifier, SIGTERM)
            process.waitUntilExit()
            let before = replaces ? old : []
            if process.terminationReason == .exit, process.terminationStatus == 0 {
                #expect(folder.tree == new)
            } else {
                #expect(folder.tree == new || folder.tree == before, "round \(round): \(folder.tree)")
            }
            if !FileManager.default.fileExists(atPath: folder("out")) { folder.makeFolder("out") }
        }
    }

    @Test(
        "a reader that goes away ends the program quietly",
        arguments: [
            "inspect kjv-7m --tensors", "inspect kjv-7m --json", "tokenize kjv-7m --text calibration.txt",
            "cut kjv-7m -o x --layers 1:2 --dry-run",
        ])
    func closedPipe(arguments: String) throws {
        let folder = TemporaryFolder()
        for name in ["kjv-7m", "calibration.txt"] { Files.symbolicLink(folder(name), to: Fixture.path(name)) }
        let process = Program.process(Program.path, arguments.split(separator: " ").map(String.init), in: folder)
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try output.fileHandleForReading.close()
        try process.run()
        let complaints = try errors.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(
            String(decoding: complaints, as: UTF8.self).split(separator: "\n").allSatisfy { $0.contains("drops layer") }
        )
        let piped = try Program.shell("resect \(arguments) | head -n 1 > /dev/null", in: folder)
        #expect(piped.status == 0)
    }

    @Test(
        "an output that does not fit on the disk is refused before its first byte",
        arguments: [
            "quantize big.gguf -o out.gguf --type F16", "convert big.gguf -o out.gguf --dtype f16",
        ])
    func fullDisk(arguments: String) throws {
        let folder = TemporaryFolder()
        let attributes = try FileManager.default.attributesOfFileSystem(forPath: folder.path)
        let free = try #require(attributes[.systemFreeSize] as? Int)
        // No file of a test could be so large that it does not fit there.
        if free > 3 << 40 { return }
        _ = SignalTests.sparseModel(folder, layerByteCount: (free + (8 << 30)) / 4096 * 4096)
        let before = folder.tree
        let outcome = try Program.shell("resect " + arguments, in: folder)
        #expect(outcome.status == 2)
        #expect(outcome.output.contains("the disk has"))
        #expect(folder.tree == before)
    }

    @Test("any number of threads writes the same bytes", arguments: ["Q4_K_M", "Q8_0", "F16"])
    func determinism(type: String) throws {
        let folder = TemporaryFolder()
        for threads in [1, 3] {
            let outcome = try Program.shell(
                "resect quantize '\(Fixture.model)' -o \(threads).gguf --type \(type) --threads \(threads)", in: folder)
            #expect(outcome.status == 0, "\(outcome.output)")
        }
        #expect(Files.read(folder("1.gguf")) == Files.read(folder("3.gguf")))
    }
}
