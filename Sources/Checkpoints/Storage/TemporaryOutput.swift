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
        // Under the lock, so that a signal does not come between what is made and what is known.
        let code = TemporaryOutput.unfinished.withLock { paths -> Int32 in
            if folder {
                guard mkdir(path, 0o777) == 0 else { return errno }
            } else {
                let descriptor = createExclusively(path)
                guard descriptor >= 0 else { return errno }
                close(descriptor)
            }
            paths.append(path)
            return 0
        }
        guard code == 0 else {
            finished.withLock { $0 = true }
            throw .system("cannot create", file: target, code)
        }
    }

    deinit {
        if !finished.withLock({ $0 }) {
            TemporaryOutput.remove(path)
            TemporaryOutput.forget(path)
        }
    }

    /// Puts the output in place of whatever has its name, and syncs the folder that holds it.
    func finish() throws(CheckpointError) {
        let old = path + ".old"
        let replacesFolder = isFolder && FileSystem.kind(of: target) == .folder
        // Under the lock, so that after a signal the old output has its name, or the new one.
        let failure = TemporaryOutput.unfinished.withLock { paths -> CheckpointError? in
            if replacesFolder, rename(target, old) != 0 { return .system("cannot replace", file: target, errno) }
            if rename(path, target) != 0 {
                let code = errno
                if replacesFolder { rename(old, target) }
                return .system("cannot put the output in place", file: target, code)
            }
            paths.removeAll { $0 == path }
            if replacesFolder { paths.append(old) }
            return nil
        }
        if let failure { throw failure }
        finished.withLock { $0 = true }
        if replacesFolder {
            TemporaryOutput.remove(old)
            TemporaryOutput.forget(old)
        }
        let folder = open(target.deletingLastPathComponent, O_RDONLY | O_CLOEXEC)
        if folder >= 0 {
            fsync(folder)
            close(folder)
        }
    }

    private static func forget(_ path: String) {
        unfinished.withLock { $0.removeAll { $0 == path } }
    }

    /// Removes a file, or a folder with the files in it, also those that another thread still makes there.
    private static func remove(_ path: String) {
        if unlink(path) == 0 { return }
        for _ in 0..<100 {
            guard let folder = opendir(path) else { return }
            while let entry = readdir(folder) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 1) { String(cString: $0) }
                }
                if name != ".", name != ".." { unlink(path + "/" + name) }
            }
            closedir(folder)
            if rmdir(path) == 0 { return }
        }
    }

    /// Removes every unfinished output and ends the program before another can be made.
    static func removeAll(then end: () -> Never) -> Never {
        unfinished.withLock { paths in
            for path in paths { remove(path) }
            end()
        }
    }
}

/// Creates a file that must not be there yet.
private func createExclusively(_ path: String) -> Int32 {
    open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
}

/// What a program has to do when a signal ends it.
package enum Interruption {
    /// Removes every unfinished output, and ends the program.
    package static func cleanUp(then end: () -> Never) -> Never { TemporaryOutput.removeAll(then: end) }
}
