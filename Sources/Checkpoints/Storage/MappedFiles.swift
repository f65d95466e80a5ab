internal import CStorage
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// All mapped files, so that the program can check at its end whether one changed while it was read.
///
/// A reader of a changed file may have seen old bytes, new bytes or zeros, so its results are not valid. A measurement, a heal
/// and the writer check the files of their model at their end.
public enum MappedFiles {
    private struct State {
        var open: [ObjectIdentifier: MappedFileState] = [:]
        var problem: CheckpointError?
    }

    private static let state = Mutex(State())

    static func add(_ source: MappedFileState) {
        state.withLock { $0.open[source.id] = source }
    }

    /// Stops tracking a file that is about to be closed, but keeps its problem.
    static func remove(_ source: MappedFileState) {
        let problem = source.problem
        state.withLock { state in
            state.open[source.id] = nil
            state.problem = state.problem ?? problem
        }
        resect_guard_remove(source.guarded)
    }

    /// Keeps the program running when a mapped file is truncated, by a handler of SIGBUS; reads beyond the end give zeros, and
    /// `problem` reports it later. Without it such a read ends the process, as it does for every mapped file.
    public static func surviveTruncation() { resect_guard_install() }

    /// The change of any file that was read; `nil` when none changed.
    public static var problem: CheckpointError? {
        state.withLock { state in
            if let problem = state.problem { return problem }
            return state.open.values.compactMap(\.problem).min { ($0.file ?? "") < ($1.file ?? "") }
        }
    }
}

/// A mapped file and its state when it was opened.
struct MappedFileState: Sendable {
    let path: String
    private let descriptor: PooledDescriptor
    private let snapshot: Snapshot
    fileprivate nonisolated(unsafe) let guarded: OpaquePointer?
    fileprivate var id: ObjectIdentifier { ObjectIdentifier(descriptor) }

    init(path: String, descriptor: PooledDescriptor, status: stat, base: UnsafeRawPointer?) {
        self.path = path
        self.descriptor = descriptor
        snapshot = Snapshot(status)
        guarded = base.flatMap { resect_guard_add($0, Int64(status.st_size)) }
    }

    /// The file and its state when it was opened, as text.
    var state: String { "\(path) \(snapshot.byteCount) \(snapshot.seconds).\(snapshot.nanoseconds)" }

    /// The error for a read beyond the end of the file.
    var shortened: CheckpointError {
        CheckpointError(file: path, "became shorter than \(snapshot.byteCount.grouped) bytes while it was read")
    }

    /// The change of the file since it was opened; `nil` without one.
    var problem: CheckpointError? {
        do throws(CheckpointError) {
            // A file that was replaced under its name stays mapped unchanged.
            let now = try descriptor.with { (descriptor) throws(CheckpointError) in
                var status = stat()
                guard fstat(descriptor, &status) == 0 else { throw .system("cannot read the size", file: path, errno) }
                return Snapshot(status)
            }
            if let now, now.byteCount < snapshot.byteCount { return shortened }
            if let now, now != snapshot { return CheckpointError(file: path, "was changed while it was read") }
        } catch {
            return error
        }
        // The state is the same, but a read failed: the file was cut and grew again within a tick of the clock, or the
        // disk failed.
        if resect_guard_is_faulted(guarded) { return CheckpointError(file: path, "could not be read to its end") }
        return nil
    }

    /// The state by which a later change of a file shows: its size and the time of its last change.
    private struct Snapshot: Equatable {
        let byteCount: Int
        let seconds: Int
        let nanoseconds: Int

        init(_ status: stat) {
            byteCount = Int(status.st_size)
            #if canImport(Darwin)
                (seconds, nanoseconds) = (status.st_mtimespec.tv_sec, status.st_mtimespec.tv_nsec)
            #else
                (seconds, nanoseconds) = (status.st_mtim.tv_sec, status.st_mtim.tv_nsec)
            #endif
        }
    }
}
