internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The record of what an unfinished output has on disk, in a file beside it, so that another run can continue.
///
///     resect 0.1.0 journal 1          another version may compute other bytes
///     plan <32 hexadecimal digits>    which output this is, and from which inputs
///     done <n>                        the first n units of the work are written and synced; the last line counts
final class Journal: Sendable {
    /// How many units an earlier run has done.
    let resumedCount: Int
    private let path: String
    private let descriptor: Int32
    private let isKept: Bool
    private let state: Mutex<State>

    private struct State {
        var isDone: [Bool]
        /// Units from the first on without a gap.
        var prefix: Int
        var unsynced = 0
        var lastSync = ContinuousClock.now
        var isSyncing = false
    }

    private let syncByteCount: Int
    /// The maximum time between syncs.
    private static let syncInterval = Duration.seconds(2)
    private static let heading = "resect \(Release.version) journal 1\n"
    private static let maximumByteCount = 1 << 20

    /// Begins a journal, or continues that of an earlier run.
    ///
    /// - Parameters:
    ///   - path: the file of the journal.
    ///   - plan: a text that identifies the output: the same text means the same output.
    ///   - unitCount: how many units of work there are.
    ///   - resumes: whether an earlier journal counts; it does when its plan is the same.
    ///   - isKept: whether the journal stays when the run ends before its work.
    ///   - syncByteCount: the number of bytes between syncs.
    ///   - target: the output, for messages.
    init(
        path: String, plan: String, unitCount: Int, resumes: Bool, isKept: Bool, syncByteCount: Int,
        target: String
    ) throws(CheckpointError) {
        self.path = path
        self.syncByteCount = syncByteCount
        self.isKept = isKept
        let opening = Journal.heading + "plan \(Digest(of: Array(plan.utf8)))\n"
        var resumed = 0
        if resumes {
            guard let done = Journal.unitsDone(path, opening: opening), done <= unitCount else {
                throw CheckpointError(
                    file: target, "has an unfinished output from other inputs or other options",
                    hint: "leave out --resume to begin anew")
            }
            resumed = done
        }
        resumedCount = resumed
        descriptor = TemporaryOutput.create(path, isKept: isKept)
        let isDone = (0..<unitCount).map { $0 < resumed }
        state = Mutex(State(isDone: isDone, prefix: resumed))
        guard descriptor >= 0 else { throw .system("cannot write a journal", file: target, errno) }
        append(opening + "done \(resumed)\n")
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
        if !isKept { remove() }
    }

    /// Removes the journal when the output is complete or removed.
    func remove() {
        unlink(path)
        TemporaryOutput.forget(path)
    }

    /// Records that a unit is written, and syncs from time to time, so that it counts after a crash.
    ///
    /// - Parameter sync: puts everything that was written on the disk.
    func finish(
        unit: Int, byteCount: Int, sync: () throws(CheckpointError) -> Void
    ) throws(CheckpointError) {
        let due = state.withLock { state -> Int? in
            state.isDone[unit] = true
            while state.prefix < state.isDone.count, state.isDone[state.prefix] { state.prefix += 1 }
            state.unsynced += byteCount
            let isLate =
                state.unsynced >= syncByteCount
                || ContinuousClock.now - state.lastSync >= Journal.syncInterval
            guard isLate, !state.isSyncing else { return nil }
            state.isSyncing = true
            state.unsynced = 0
            return state.prefix
        }
        guard let due else { return }
        try sync()
        append("done \(due)\n")
        fsync(descriptor)
        state.withLock { state in
            state.isSyncing = false
            state.lastSync = .now
        }
    }

    /// A journal that cannot be written costs a later run its work and nothing else.
    private func append(_ text: String) {
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
    }

    /// Whether a complete journal header exists; a run that was killed at once may have left less. A journal that cannot be
    /// read counts as none.
    static func hasBegun(_ path: String) -> Bool {
        guard let bytes = try? FileSystem.contents(of: path, limit: maximumByteCount) else { return false }
        return bytes.count { $0 == 0x0A } >= 2
    }

    /// The finished units in a journal; `nil` when it belongs to another output or cannot be read, so that the run begins
    /// again.
    private static func unitsDone(_ path: String, opening: String) -> Int? {
        guard let bytes = try? FileSystem.contents(of: path, limit: maximumByteCount),
            bytes.starts(with: opening.utf8)
        else { return nil }
        var done = 0
        // A line without its end was being written when the run ended.
        let lines = bytes.dropFirst(opening.utf8.count).split(separator: 0x0A, omittingEmptySubsequences: false)
        for line in lines.dropLast() {
            let text = String(decoding: line, as: UTF8.self)
            guard text.hasPrefix("done "), let count = Int(text.dropFirst(5)), count >= done else { return nil }
            done = count
        }
        return done
    }
}
