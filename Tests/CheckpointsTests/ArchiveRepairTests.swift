import Checkpoints
import TestSupport
import Testing

/// Archives whose checksums are right, and whose contents are not.
@Suite("archives that lie with the right checksums")
struct ArchiveRepairTests {
    @Test("a change of any byte is an error or another model, and never a crash", arguments: ["types", "llama"], 1...2)
    func anyByte(name: String, seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let bytes = Files.read(Fixture.root + "/Tests/Fuzzing/corpora/archive/\(name).resect")
        #expect(ArchiveRepair.repaired(bytes) == bytes)
        let folder = TemporaryFolder()
        var failures = 0
        for index in bytes.indices.dropFirst(16).dropLast(64) {
            var changed = bytes
            changed[index] ^= UInt8.random(in: 1...255, using: &generator)
            let path = folder.write("x.resect", ArchiveRepair.repaired(changed))
            do throws(CheckpointError) {
                let checkpoint = try Checkpoint.open(path)
                for tensor in checkpoint.tensors {
                    try tensor.withBytes(rows: 0..<tensor.rowCount) { #expect($0.count == tensor.byteCount) }
                }
            } catch {
                failures += 1
                #expect(error.file != nil)
            }
        }
        #expect(failures > bytes.count / 2)
    }
}
