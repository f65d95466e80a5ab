internal import CStorage
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The temporary sibling of an output: a file or a folder that becomes visible under its own name only when it is
/// whole.
///
/// Its name is derived from the output's, and its writer holds a lock, so that the next run finds what a killed run left,
/// and removes or continues it. An unfinished output is removed when the value is released, and by `removeAll` when a
/// signal ends the program.
final class TemporaryOutput: Sendable {
    /// Where the output is being written.
    let path: String
    /// Whether it existed already, from an earlier run.
    let isResumed: Bool
    private let target: String
    private let isFolder: Bool
    /// Whether it stays when the run ends without finishing it.
    private let isKept: Bool
    private let descriptor: Int32
    private let finished = Mutex(false)

    private static let unfinished = Mutex<[String]>([])

    /// A name has at most 255 bytes; a sibling's has up to 20 more than the output's.
    private static let longestName = 235

    /// The name of a hidden sibling of a path; a long name is replaced by a hash.
    static func sibling(of path: String, _ suffix: String) -> String {
        var name = path.lastPathComponent
        if name.utf8.count > longestName { name = "\(Digest(of: Array(name.utf8)))" }
        return "\(path.deletingLastPathComponent)/.\(name).resect-\(suffix)"
    }

    /// Makes an empty temporary file or folder beside `target`.
    ///
    /// - Parameters:
    ///   - resumes: whether to continue the output of an earlier run instead of beginning with an empty one.
    ///   - isKept: whether it stays when this run does not finish.
    /// - Throws: when another run is writing the same output.
    init(for target: String, folder: Bool, resumes: Bool = false, isKept: Bool = false) throws(CheckpointError) {
        self.target = target
        self.isKept = isKept
        isFolder = folder
        path = TemporaryOutput.sibling(of: target, "partial")
        let path = path
        // Under the lock, so that a signal handler always knows every created path.
        let outcome = TemporaryOutput.unfinished.withLock { paths in
            Result { () throws(CheckpointError) in
                let opened = try TemporaryOutput.take(path, target: target, folder: folder, resumes: resumes)
                if !isKept { paths.append(path) }
                return opened
            }
        }
        do throws(CheckpointError) {
            (descriptor, isResumed) = try outcome.get()
        } catch {
            descriptor = -1
            isResumed = false
            finished.withLock { $0 = true }
            throw error
        }
        FileMode.keep(of: target, on: descriptor, isFinished: false)
    }

    deinit {
        if !finished.withLock({ $0 }), !isKept {
            TemporaryOutput.remove(path)
            TemporaryOutput.forget(path)
        }
        if descriptor >= 0 { close(descriptor) }
    }

    /// Creates the path, or takes over an unlocked one, and locks it.
    private static func take(
        _ path: String, target: String, folder: Bool, resumes: Bool
    ) throws(CheckpointError) -> (descriptor: Int32, isResumed: Bool) {
        for _ in 0..<100 {
            var isNew = true
            var opened: Int32
            if folder {
                isNew = mkdir(path, 0o777) == 0
                if !isNew, errno != EEXIST { throw .system("cannot create", file: target, errno) }
                opened = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)
            } else {
                opened = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
                if opened < 0, errno == EEXIST {
                    isNew = false
                    opened = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
                }
            }
            if opened < 0, isNew { throw .system("cannot create", file: target, errno) }
            if opened >= 0, flock(opened, LOCK_EX | LOCK_NB) != 0, errno == EWOULDBLOCK {
                close(opened)
                throw CheckpointError(file: target, "is being written by another run")
            }
            if opened >= 0, isStill(path, opened), isNew || (resumes && isPlain(opened, folder: folder)) {
                return (opened, !isNew)
            }
            // From an earlier run, or foreign. Unlink it instead of truncating it: it may be a link to an input.
            if opened >= 0 { close(opened) }
            remove(path)
        }
        throw CheckpointError(file: path, "is in the way", hint: "remove it")
    }

    /// Whether a path still leads to what was opened.
    private static func isStill(_ path: String, _ descriptor: Int32) -> Bool {
        var status = stat()
        guard fstat(descriptor, &status) == 0, let there = FileIdentity(path: path) else { return false }
        return there == FileIdentity(status)
    }

    /// Whether what was opened is a folder, or a file with this one name.
    private static func isPlain(_ descriptor: Int32, folder: Bool) -> Bool {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return false }
        let kind = status.st_mode & S_IFMT
        return folder ? kind == S_IFDIR : kind == S_IFREG && status.st_nlink == 1
    }

    /// Creates sub-folders, parents first; existing ones stay.
    func makeFolders(_ folders: [String]) throws(CheckpointError) {
        for folder in folders {
            guard mkdir(path + "/" + folder, 0o777) != 0 else { continue }
            let code = errno
            guard code == EEXIST, FileSystem.isOwnFolder(path + "/" + folder) else {
                throw .system("cannot create", file: target + "/" + folder, code)
            }
        }
    }

    /// Renames the output over any existing file, and syncs the parent folder.
    func finish() throws(CheckpointError) {
        FileMode.keep(of: target, on: descriptor, isFinished: true)
        // Under the lock, so that after a signal the old output has its name, or the new one.
        let failure = TemporaryOutput.unfinished.withLock { paths -> CheckpointError? in
            if isFolder {
                fsync(descriptor)
                if FileSystem.kind(of: target) == .folder, resect_exchange(path, target) == 0 {
                    // The temporary name now belongs to the old output.
                    if isKept { paths.append(path) }
                    return nil
                }
            }
            let old = path + ".old"
            let movesFolder = isFolder && FileSystem.kind(of: target) == .folder
            if movesFolder, rename(target, old) != 0 { return .system("cannot replace", file: target, errno) }
            if rename(path, target) != 0 {
                let code = errno
                if movesFolder { rename(old, target) }
                return .system("cannot rename the output", file: target, code)
            }
            if movesFolder { paths.append(old) }
            return nil
        }
        if let failure { throw failure }
        finished.withLock { $0 = true }
        FileSystem.syncFolder(target.deletingLastPathComponent)
        for left in [path, path + ".old"] where isFolder || left == path {
            if isFolder { TemporaryOutput.remove(left) }
            TemporaryOutput.forget(left)
        }
    }

    /// Moves the files of a temporary folder to their final names beside it, and removes it: the parts of an output that
    /// is not a folder. The first file is moved last, because readers start with it.
    func finishAsFiles(_ names: [(inFolder: String, path: String)]) throws(CheckpointError) {
        fsync(descriptor)
        for (name, path) in names.reversed() {
            guard rename(self.path + "/" + name, path) == 0 else {
                throw .system("cannot rename the output", file: path, errno)
            }
        }
        finished.withLock { $0 = true }
        FileSystem.syncFolder(target.deletingLastPathComponent)
        TemporaryOutput.remove(path)
        TemporaryOutput.forget(path)
    }

    /// Creates a file that is removed too when a signal ends the program, unless it is to be kept.
    ///
    /// - Returns: the open file, or -1 with `errno`.
    static func create(_ path: String, isKept: Bool) -> Int32 {
        // Under the lock, so that a signal handler always knows every created path.
        unfinished.withLock { paths in
            unlink(path)
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
            if descriptor >= 0, !isKept { paths.append(path) }
            return descriptor
        }
    }

    /// Stops tracking a file for removal.
    static func forget(_ path: String) { unfinished.withLock { $0.removeAll { $0 == path } } }

    /// Removes a file, or a folder with everything in it, including files that another thread is still creating there.
    private static func remove(_ path: String) {
        if unlink(path) == 0 { return }
        for _ in 0..<100 {
            let folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard folder >= 0 else { return }
            FileSystem.empty(folder)
            if rmdir(path) == 0 { return }
        }
    }

    /// Removes every unfinished output and ends the program before another can be created.
    static func removeAll(then end: () -> Never) -> Never {
        unfinished.withLock { paths in
            for path in paths { remove(path) }
            end()
        }
    }
}

/// The cleanup when a signal ends the program.
package enum Interruption {
    /// Removes every unfinished output, and ends the program.
    package static func cleanUp(then end: () -> Never) -> Never { TemporaryOutput.removeAll(then: end) }
}
