import Checkpoints
import TestSupport
import Testing

@Suite("PyTorch files of before 1.6")
struct LegacyPyTorchTests {
    private typealias P = PickleBytes

    private static let magic: [UInt8] = [
        0x80, 2, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
    ]

    /// The persistent id of a storage, with the view that such files have as a sixth member.
    private static func storage(_ key: String, view: [UInt8] = P.none) -> [UInt8] {
        P.tuple([P.text("storage"), P.global("torch", "FloatStorage"), P.text(key), P.text("cpu"), P.int(4), view])
            + P.persistentID
    }

    private static func file(
        magic: [UInt8] = magic, version: [UInt8] = P.int(1001), system: [UInt8]? = nil, object: [UInt8]? = nil,
        keys: [[UInt8]] = [P.text("7")], storages: [(count: UInt64, data: [UInt8])] = [(4, Array(0..<16))],
        rest: [UInt8] = []
    ) -> [UInt8] {
        var bytes = magic + P.pickle(version)
        bytes += P.pickle(system ?? P.named([("protocol_version", P.int(1001)), ("little_endian", [0x88])]))
        bytes += P.pickle(object ?? P.named([("a", P.tensor(storage("7")))]))
        bytes += P.pickle(P.list(keys))
        for storage in storages {
            bytes += littleEndian(storage.count)
            bytes += storage.data
        }
        return bytes + rest
    }

    @Test("a file of the form is read, with or without an extension")
    func reading() throws {
        let folder = TemporaryFolder()
        for name in ["a.bin", "a"] {
            let checkpoint = try Checkpoint.open(folder.write(name, LegacyPyTorchTests.file()))
            #expect(try Contents(checkpoint).tensors == ["a F32 [2, 2]"])
            #expect(try Contents(checkpoint).bytes == [Array(0..<16)])
        }
    }

    static let hostile: [Hostile] = [
        Hostile("a pickle of its own", P.pickle(P.named([])), "is a pickle, but none that torch.save wrote"),
        Hostile("another number", P.pickle(P.int(7)), "is a pickle, but none that torch.save wrote"),
        Hostile("another protocol", file(version: P.int(1000)), "of a protocol other than 1,001"),
        Hostile("no system", file(system: P.none), "does not state the system"),
        Hostile("another byte order", file(system: P.named([("little_endian", [0x89])])), "on a big-endian system"),
        Hostile("a storage before its time", file(version: P.storage()), "names a storage where there is none"),
        Hostile("no list of storages", file(keys: [P.none]), "has a storage whose key is not a string"),
        Hostile("a storage that is not listed", file(keys: [], storages: []), "does not list all storages"),
        Hostile("a storage that nothing uses", file(keys: [P.text("7"), P.text("8")]), "lists the storage '8'"),
        Hostile("a storage that is listed twice", file(keys: [P.text("7"), P.text("7")]), "or lists it twice"),
        Hostile(
            "another number of elements", file(storages: [(5, Array(0..<20))]),
            "the storage '7' has 5 elements; its tensors expect 4"),
        Hostile(
            "elements beyond 64 bits", file(storages: [(.max, [])]),
            "the storage '7' has 18,446,744,073,709,551,615 elements; its tensors expect 4"),
        Hostile("no storage", file(storages: []), "ends before the storage '7'"),
        Hostile("a storage that is cut off", file(storages: [(4, Array(0..<15))]), "does not fit its 15 bytes"),
        Hostile("bytes behind the last storage", file(rest: [0]), "its storages end at byte"),
        Hostile(
            "a view of a storage", file(object: P.named([("a", P.tensor(storage("7", view: P.tuple([]))))])),
            "has a view of a storage, which is not read"),
        Hostile(
            "a tar archive", Array(repeating: 0, count: 257) + Array("ustar".utf8) + Array(repeating: 0, count: 512),
            "is a PyTorch file of before 0.1.10 (a tar archive), which is not read"),
    ]

    @Test("a file that lies is refused, with the reason", arguments: hostile)
    func refused(file: Hostile) { file.expectRefusal(fileName: "a.bin") }
}
