import Foundation
import TestSupport

/// The program as it was built beside the tests.
enum Program {
    static let path: String = {
        #if os(macOS)
            let bundle =
                Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }?.bundleURL ?? Bundle.main.bundleURL
            return bundle.deletingLastPathComponent().appendingPathComponent("resect").path
        #else
            return Bundle.main.bundleURL.appendingPathComponent("resect").path
        #endif
    }()

    /// What a program left: all that it said on both streams, in order, and its exit status.
    struct Outcome {
        let output: String
        let status: Int32
    }

    /// Starts a shell with a line in a folder, where `resect` is the program.
    static func shell(_ line: String, in folder: TemporaryFolder) throws -> Outcome {
        let pipe = Pipe()
        let process = process("/bin/sh", ["-c", line], in: folder)
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        // Read before waiting: a full pipe would stop the program.
        let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Outcome(output: String(decoding: output, as: UTF8.self), status: process.terminationStatus)
    }

    static func process(_ executable: String, _ arguments: [String], in folder: TemporaryFolder) -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        let here = (path as NSString).deletingLastPathComponent
        process.environment = ["PATH": "\(here):/usr/bin:/bin", "LC_ALL": "C", "COLUMNS": "80"]
        process.standardInput = FileHandle.nullDevice
        return process
    }
}

extension TemporaryFolder {
    /// Everything under the folder with sizes and contents' checksums left out, links not followed.
    var tree: [String] {
        let manager = FileManager.default
        return (manager.enumerator(atPath: path)?.compactMap { $0 as? String } ?? []).sorted().map { name in
            let size = (try? manager.attributesOfItem(atPath: self(name)))?[.size] as? Int ?? -1
            return "\(name) \(size)"
        }
    }
}
