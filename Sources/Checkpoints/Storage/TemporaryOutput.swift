#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif
internal import Synchronization

/// The temporary sibling of an output: a file or a folder that becomes visible under its own name only when it is whole.
///
/// Whatever is not finished is removed: when the value goes away, and by `removeAll` when a signal ends the program.
final class TemporaryOutput: Sendable {
    /// Where the output is being written.
    let path: String
    private let target: String
    private let isFolder: Bool
    private let finished = Mutex(false)

    private static let unfinished = Mutex<[String]>([])

    /// Makes an empty temporary file or folder beside `target`.
    init(for target: String, folder: Bool) throws(CheckpointError) {
        let parent = target.deletingLastPathComponent
        path = "\(parent)/.\(target.lastPathComponent).resect-\(getpid())"
        self.target = target
        isFolder = folder
        TemporaryOutput.unfinished.withLock { $0.append(path) }
        if folder {
            guard mkdir(path, 0o777) == 0 else { throw failed("cannot create", errno) }
        } else {
            let descriptor = createExclusively(path)
            guard descriptor >= 0 else { throw failed("cannot create", errno) }
            close(descriptor)
        }
    }

    private func failed(_ what: String, _ code: Int32) -> CheckpointError {
        TemporaryOutput.forget(path)
        finished.withLock { $0 = true }
        return .system(what, file: target, code)
    }

    deinit {
        if !finished.withLock({ $0 }) {
            TemporaryOutput.remove(path)
            TemporaryOutput.forget(path)
        }
    }

    /// Puts the output in place of whatever has its name, and syncs the folder that holds it.
    func finish() throws(CheckpointError) {
        if isFolder, FileSystem.kind(of: target) == .folder {
            let old = path + ".old"
            TemporaryOutput.unfinished.withLock { $0.append(old) }
            guard rename(target, old) == 0 else { throw .system("cannot replace", file: target, errno) }
            guard rename(path, target) == 0 else {
                let code = errno
                rename(old, target)
                throw .system("cannot replace", file: target, code)
            }
            TemporaryOutput.remove(old)
            TemporaryOutput.forget(old)
        } else if rename(path, target) != 0 {
            throw .system("cannot put the output in place", file: target, errno)
        }
        finished.withLock { $0 = true }
        TemporaryOutput.forget(path)
        let folder = open(target.deletingLastPathComponent, O_RDONLY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }

    private static func forget(_ path: String) {
        unfinished.withLock { $0.removeAll { $0 == path } }
    }

    /// Removes a file, or a folder with the files in it.
    private static func remove(_ path: String) {
        if unlink(path) == 0 { return }
        guard let folder = opendir(path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
            }
            if name != ".", name != ".." { unlink(path + "/" + name) }
        }
        closedir(folder)
        rmdir(path)
    }

    /// Removes every unfinished output; the program must end right after it.
    static func removeAll() {
        unfinished.withLock { paths in
            for path in paths where !path.hasSuffix(".old") { remove(path) }
        }
    }
}

/// Creates a file that must not be there yet.
private func createExclusively(_ path: String) -> Int32 {
    open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
}

/// What a program has to do when a signal ends it.
package enum Interruption {
    /// Removes every unfinished output.
    package static func cleanUp() { TemporaryOutput.removeAll() }
}
