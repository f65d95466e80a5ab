import Checkpoints
import Formats
import Synchronization
import TestSupport
import Testing

/// Rows that are computed and counted; they fail from one row on, as a run that is killed there.
private final class InterruptedRows: RowSource {
    static let rowByteCount = 1 << 16
    let failing: Int?
    let computed = Mutex<Set<Int>>([])

    init(failing: Int?) { self.failing = failing }

    var description: String { "rows of a test" }
    /// Where they fail does not decide their bytes.
    var fingerprint: String { description }

    func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
        for (index, row) in rows.enumerated() {
            if let failing, row >= failing { throw CheckpointError(file: "source", "fails at row \(row)") }
            computed.withLock { _ = $0.insert(row) }
            for byte in 0..<InterruptedRows.rowByteCount {
                output[index * InterruptedRows.rowByteCount + byte] = UInt8(truncatingIfNeeded: row &* 31 &+ byte &* 7)
            }
        }
    }
}

@Suite("resuming")
struct ResumeTests {
    private static let rowCount = 400

    private static func checkpoint(_ folder: TemporaryFolder, rows: InterruptedRows) throws -> Checkpoint {
        var checkpoint = try Checkpoint.open(folder.write("in.gguf", GGUFTests.small.bytes))
        checkpoint.tensors.insert(
            Tensor(
                name: "made", dtype: .f16, shape: [rowCount, InterruptedRows.rowByteCount / 2], recipe: .computed(rows)),
            at: 1)
        return checkpoint
    }

    private static func writer(threads: Int = 2, resumes: Bool = true) -> CheckpointWriter {
        var writer = CheckpointWriter(replaces: true, threads: threads)
        writer.resumes = resumes
        writer.journalByteCount = 4 << 20
        return writer
    }

    @Test("an interrupted run is continued and gives the bytes of an uninterrupted one", arguments: [1, 3])
    func continued(threads: Int) throws {
        let folder = TemporaryFolder()
        let whole = try ResumeTests.checkpoint(folder, rows: InterruptedRows(failing: nil))
        try ResumeTests.writer(resumes: false).write(OutputPlan(whole), to: folder("whole.gguf"))
        for failing in [380, 399] {
            let plan = try OutputPlan(ResumeTests.same(whole, InterruptedRows(failing: failing)))
            #expect(throws: CheckpointError.self) {
                try ResumeTests.writer(threads: threads).write(plan, to: folder("out.gguf"))
            }
            #expect(folder.names.contains(".out.gguf.resect-partial"))
            #expect(!folder.names.contains("out.gguf"))
        }
        let rows = InterruptedRows(failing: nil)
        let plan = try OutputPlan(ResumeTests.same(whole, rows))
        try ResumeTests.writer(threads: threads).write(plan, to: folder("out.gguf"))
        #expect(Files.read(folder("out.gguf")) == Files.read(folder("whole.gguf")))
        // How much is left depends on how fast the disk syncs.
        #expect(rows.computed.withLock { $0.count } < ResumeTests.rowCount)
        #expect(folder.names == ["in.gguf", "out.gguf", "whole.gguf"])
    }

    /// The same work with other rows of the same words.
    private static func same(_ checkpoint: Checkpoint, _ rows: InterruptedRows) -> Checkpoint {
        var checkpoint = checkpoint
        checkpoint.tensors[1].recipe = .computed(rows)
        return checkpoint
    }

    @Test("a run that does not resume begins anew, and leaves nothing when it fails")
    func anew() throws {
        let folder = TemporaryFolder()
        let broken = try ResumeTests.checkpoint(folder, rows: InterruptedRows(failing: 390))
        let plan = try OutputPlan(broken)
        #expect(throws: CheckpointError.self) { try ResumeTests.writer().write(plan, to: folder("out.gguf")) }
        #expect(folder.names == [".out.gguf.resect-journal", ".out.gguf.resect-partial", "in.gguf"])
        let rows = InterruptedRows(failing: nil)
        try ResumeTests.writer(resumes: false).write(
            OutputPlan(ResumeTests.same(broken, rows)), to: folder("out.gguf"))
        #expect(rows.computed.withLock { $0.count } == ResumeTests.rowCount)
        #expect(folder.names == ["in.gguf", "out.gguf"])
    }

    @Test("other work under the same name is refused, and what was done stays")
    func otherWork() throws {
        let folder = TemporaryFolder()
        let broken = try ResumeTests.checkpoint(folder, rows: InterruptedRows(failing: 390))
        let plan = try OutputPlan(broken)
        #expect(throws: CheckpointError.self) { try ResumeTests.writer().write(plan, to: folder("out.gguf")) }
        let before = folder.names
        var other = ResumeTests.same(broken, InterruptedRows(failing: nil))
        other.metadata["general.name"] = .string("another")
        let otherPlan = try OutputPlan(other)
        let error = #expect(throws: CheckpointError.self) {
            try ResumeTests.writer().write(otherPlan, to: folder("out.gguf"))
        }
        expect(error, "has an unfinished output from other inputs or other options")
        #expect(folder.names == before)
    }

    @Test(
        "a journal that is no journal, or half of one, is no reason for wrong bytes",
        arguments: ["resect 0.0.0 journal 1\nplan 0\ndone 7\n", "done 9\ndone 99999999999999999999\n", "\0\n\0\n"])
    func hostileJournal(text: String) throws {
        let folder = TemporaryFolder()
        let broken = try ResumeTests.checkpoint(folder, rows: InterruptedRows(failing: 390))
        let plan = try OutputPlan(broken)
        #expect(throws: CheckpointError.self) { try ResumeTests.writer().write(plan, to: folder("out.gguf")) }
        folder.write(".out.gguf.resect-journal", text)
        let whole = try OutputPlan(ResumeTests.same(broken, InterruptedRows(failing: nil)))
        let error = #expect(throws: CheckpointError.self) {
            try ResumeTests.writer().write(whole, to: folder("out.gguf"))
        }
        expect(error, "has an unfinished output")
    }

    @Test(
        "without a journal, or with the beginning of one, a run begins anew",
        arguments: [nil, "", "resect", "resect 0.1.0 journal 1\n"])
    func noJournal(text: String?) throws {
        let folder = TemporaryFolder()
        let whole = try ResumeTests.checkpoint(folder, rows: InterruptedRows(failing: nil))
        try ResumeTests.writer(resumes: false).write(OutputPlan(whole), to: folder("whole.gguf"))
        // Bytes of some other work, where this one would have holes or nothing.
        folder.write(".out.gguf.resect-partial", [UInt8](repeating: 0xAA, count: 1 << 20))
        if let text { folder.write(".out.gguf.resect-journal", text) }
        try ResumeTests.writer().write(OutputPlan(whole), to: folder("out.gguf"))
        #expect(Files.read(folder("out.gguf")) == Files.read(folder("whole.gguf")))
        #expect(folder.names == ["in.gguf", "out.gguf", "whole.gguf"])
    }

    @Test("two runs do not write the same output at once")
    func locked() throws {
        let folder = TemporaryFolder()
        let checkpoint = try ResumeTests.checkpoint(folder, rows: InterruptedRows(failing: nil))
        let plan = try OutputPlan(checkpoint)
        let second = Mutex<CheckpointError?>(nil)
        var writer = ResumeTests.writer(resumes: false)
        writer.progress = { _, _ in
            guard second.withLock({ $0 == nil }) else { return }
            do throws(CheckpointError) {
                try ResumeTests.writer(resumes: false).write(plan, to: folder("out.gguf"))
            } catch {
                second.withLock { $0 = error }
            }
        }
        try writer.write(plan, to: folder("out.gguf"))
        expect(second.withLock { $0 }, "is being written by another run")
        #expect(folder.names == ["in.gguf", "out.gguf"])
    }

    @Test("what lies in the way of the temporary file is removed, never written to")
    func inTheWay() throws {
        let folder = TemporaryFolder()
        let checkpoint = try ResumeTests.checkpoint(folder, rows: InterruptedRows(failing: nil))
        let plan = try OutputPlan(checkpoint)
        let input = Files.read(folder("in.gguf"))
        for resumes in [false, true] {
            Files.hardLink(folder(".out.gguf.resect-partial"), to: folder("in.gguf"))
            try ResumeTests.writer(resumes: resumes).write(plan, to: folder("out.gguf"))
            Files.symbolicLink(folder(".out.gguf.resect-partial"), to: folder("in.gguf"))
            try ResumeTests.writer(resumes: resumes).write(plan, to: folder("out.gguf"))
            #expect(Files.read(folder("in.gguf")) == input)
        }
        #expect(folder.names == ["in.gguf", "out.gguf"])
    }
}
