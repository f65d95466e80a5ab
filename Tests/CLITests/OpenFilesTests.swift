import Foundation
import TestSupport
import Testing

/// Models of more files than a process may have open: the limit is 256 on macOS, and 40 here.
@Suite("few open files")
struct OpenFilesTests {
    private static let count = 150

    /// A folder of shards with a tensor in each; the last one has `lastByteCount` zeros that take no room on the disk.
    private static func model(_ folder: TemporaryFolder, lastByteCount: Int = 4) {
        folder.makeFolder("m")
        var map: [String] = []
        for shard in 0..<count {
            let byteCount = shard == count - 1 ? lastByteCount : 4
            let header =
                "{\"h.\(shard).w\":{\"dtype\":\"U8\",\"shape\":[\(byteCount)],\"data_offsets\":[0,\(byteCount)]}}"
            let file = SafetensorsBytes(header: header, data: [UInt8(shard), 1, 2, 3])
            let name = "s-\(String(1000 + shard)).safetensors"
            folder.write("m/" + name, file.bytes)
            if byteCount > 4 { Files.truncate(folder("m/" + name), file.bytes.count - 4 + byteCount) }
            map.append("\"h.\(shard).w\":\"\(name)\"")
        }
        folder.write("m/config.json", "{\"num_hidden_layers\":\(count)}")
        folder.write("m/model.safetensors.index.json", "{\"weight_map\":{\(map.joined(separator: ","))}}")
    }

    @Test("shards are read and written, and archives of them, with a limit of 40")
    func few() throws {
        let folder = TemporaryFolder()
        OpenFilesTests.model(folder)
        let commands = [
            "resect hash m | tail -n 1", "resect cut m -o cut --layers 2:4 --shard-size 4 --quiet",
            "resect cut m -o one --layers 2:4 --quiet", "resect verify cut one --quiet",
            "resect pack m -o m.resect --quiet", "resect unpack m.resect -o back --quiet", "diff -r m back",
        ]
        let outcome = try Program.shell("ulimit -n 40; " + commands.joined(separator: " && "), in: folder)
        #expect(outcome.status == 0, "\(outcome.output)")
        #expect(outcome.output.contains("equal: 148 tensors"))
        #expect(Files.names(folder("cut")).count { $0.hasSuffix(".safetensors") } == 148)
    }

    @Test("a shard that changes is found, though it is not kept open")
    func changed() throws {
        let folder = TemporaryFolder()
        OpenFilesTests.model(folder, lastByteCount: 6 << 30)
        let process = Program.process("/bin/sh", ["-c", "ulimit -n 40; exec resect hash m --threads 1"], in: folder)
        let errors = Pipe()
        process.standardError = errors
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        usleep(300_000)
        Files.overwrite(folder("m/s-\(1000 + OpenFilesTests.count - 1).safetensors"), at: 1 << 30, [1])
        let complaints = String(decoding: try errors.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 2, "\(complaints)")
        #expect(complaints.contains(".safetensors: was changed while it was read"), "\(complaints)")
    }
}
