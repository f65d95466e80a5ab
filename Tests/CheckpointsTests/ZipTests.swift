import Checkpoints
import TestSupport
import Testing

@Suite("zip archives of PyTorch")
struct ZipTests {
    private typealias P = PickleBytes

    static let pickle = P.pickle(P.named([("a", P.tensor())]))

    /// A descriptor, in 32 or 64 bits.
    private static func descriptor(_ checksum: UInt32, _ size: UInt32) -> [UInt8] {
        [0x0807_4B50, checksum, size, size].flatMap { littleEndian($0) }
    }

    private static func wideDescriptor(_ checksum: UInt32, _ size: Int) -> [UInt8] {
        [0x0807_4B50, checksum].flatMap { littleEndian($0) } + [size, size].flatMap { littleEndian($0) }
    }

    /// The extra field of two 64-bit sizes.
    private static func wideSizes(_ size: UInt64) -> [UInt8] {
        [1, 0, 16, 0] + [size, size].flatMap { littleEndian($0) }
    }

    private static let storageChecksum = ZipBytes.checksum(Array(0..<16))

    /// A right archive, with a change.
    static func archive(_ change: (inout ZipBytes) -> Void = { _ in }) -> [UInt8] {
        var file = ZipBytes(pickle: pickle, storages: [("0", Array(0..<16))])
        change(&file)
        return file.bytes
    }

    private static func hostile(_ name: String, _ message: String, _ change: (inout ZipBytes) -> Void) -> Hostile {
        Hostile(name, archive(change), message)
    }

    static let hostile: [Hostile] = [
        hostile("bytes before it", "") { $0.prefix = [0x50, 0x4B, 3, 4, 0] },
        hostile("bytes after it", "is a zip archive without its end") { $0.comment = [0] },
        hostile("a gap before the directory", "the records end at byte") { $0.gap = [1, 2, 3] },
        hostile("a name twice", "names the record 'a/data/0' twice") { $0.records.append(.init("a/data/0", [])) },
        hostile("a name in other letters", "names the record 'a/DATA.pkl' twice, but for the case of its letters") {
            $0.records.append(.init("a/DATA.pkl", []))
        },
        hostile("a second name in the header", "does not agree with the directory") {
            $0.records[0].localName = "a/data.pkk"
        },
        hostile("other flags in the header", "does not agree with the directory") { $0.records[0].localFlags = 8 },
        hostile("a compressed record", "the record 'a/data.pkl', which is compressed (method 8)") {
            $0.records[0].method = 8
        },
        hostile("an encrypted record", "the record 'a/data/0', which is encrypted") { $0.records[1].flags = 0x809 },
        hostile("a strongly encrypted record", "which is encrypted") { $0.records[1].flags = 0x848 },
        hostile("unknown flags", "which has the flags 0x818") { $0.records[1].flags = 0x818 },
        hostile("a wrong checksum", "has the checksum 0x") {
            $0.records[0].checksum = 1
            $0.records[0].descriptor = descriptor(1, UInt32(pickle.count))
        },
        hostile("a descriptor with another checksum", "has a descriptor of the record 'a/data/0'") {
            $0.records[1].descriptor = [0x50, 0x4B, 7, 8, 0, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0]
        },
        hostile("a descriptor with another size", "has a descriptor of the record 'a/data/0'") {
            $0.records[1].descriptor = descriptor(storageChecksum, 17)
        },
        hostile("no descriptor", "has a descriptor of the record 'a/data/0'") { $0.records[1].descriptor = [] },
        hostile("a record that reaches into the next", "does not agree with the directory") {
            $0.records[1].sizes = (17, 17)
        },
        hostile("a record beyond the file", "has the record 'a/data/0' of 4,294,967,294 bytes") {
            $0.records[1].sizes = (.max - 1, .max - 1)
        },
        hostile("two sizes", "is stored in 15 bytes and has 16") { $0.records[1].sizes = (15, 16) },
        hostile("a full size without 64 bits", "lacks a 64-bit size") { $0.records[1].sizes = (.max, .max) },
        hostile("64 bits that are cut off", "lacks a 64-bit size") {
            $0.records[1].sizes = (.max, .max)
            $0.records[1].extra = [1, 0, 8, 0] + littleEndian(UInt64(16))
        },
        hostile("a size of 2^63", "has a size or an offset beyond 63 bits") {
            $0.records[1].sizes = (.max, .max)
            $0.records[1].extra = wideSizes(1 << 63)
        },
        hostile("two extra fields of 64 bits", "has two extra fields") {
            $0.records[1].sizes = (.max, .max)
            let field = wideSizes(16)
            $0.records[1].extra = field + field
        },
        hostile("an extra field that is cut off", "has an extra field that is cut off") {
            $0.records[1].extra = [1, 0, 16]
        },
        hostile("two records in one place", "starts at byte 0") { $0.records[1].offset = 0 },
        hostile("a record without a place", "was expected") { $0.records[1].offset = 0x7FFF_FFFF },
        hostile("another disk", "is on another disk") { $0.records[1].disk = 1 },
        hostile("a record too few", "does not end after its 2 records") { $0.claimedCount = 2 },
        hostile("a record too many", "has a directory that is damaged") {
            // So many names that the directory could hold one more.
            for number in 0..<40 { $0.records.append(.init("a/long name number \(number)", [])) }
            $0.claimedCount = UInt16($0.records.count + 1)
        },
        hostile("more records than fit", "has 60,000 records, more than its directory can contain") {
            $0.claimedCount = 60_000
        },
        hostile("a way out of the archive", "has a record whose name is not a path inside it") {
            $0.records[1].name = "a/../0"
        },
        hostile("a way from the root", "has a record whose name is not a path inside it") {
            $0.records[1].name = "/a/0"
        },
        hostile("a backslash", "has a record whose name is not a path inside it") { $0.records[1].name = "a\\0" },
        hostile("a name that ends early", "has a record whose name is not a path inside it") {
            $0.records[1].name = "a/\u{0}"
        },
        hostile("no name", "has a record whose name is not a path inside it") { $0.records[1].name = "" },
        hostile("another folder", "has the record 'b/data/0', which is not in the archive's folder 'a/'") {
            $0.records[1].name = "b/data/0"
        },
        hostile("no pickle", "is a zip archive without data.pkl") { $0.records[0].name = "a/data.pk" },
        hostile("no folder", "is a zip archive without data.pkl") { $0.records = [.init("data.pkl", pickle)] },
        hostile("no records", "is a zip archive without data.pkl") {
            $0 = ZipBytes([.init("a/x", [])])
        },
        hostile("a program", "is a TorchScript archive") { $0.records.append(.init("a/constants.pkl", [])) },
        hostile("code", "is a TorchScript archive") { $0.records.append(.init("a/code/__torch__.py", [])) },
        hostile("code that is compressed", "is a TorchScript archive") {
            $0.records.append(.init("a/code/__torch__.py", []))
            $0.records[3].method = 8
        },
        hostile("a byte order that is none", "has a byteorder that is neither little nor big") {
            $0.records.append(.init("a/byteorder", Array("middle".utf8)))
        },
    ]

    @Test("an archive that lies is refused, with the reason", arguments: hostile)
    func refused(file: Hostile) { file.expectRefusal(fileName: "a.bin") }

    @Test("the forms that writers use are read")
    func forms() throws {
        let folder = TemporaryFolder()
        let changes: [(inout ZipBytes) -> Void] = [
            { _ in }, { $0.isWide = false },
            { for index in $0.records.indices { $0.records[index].flags = 0 } },
            { $0.records[1].localExtra = [0x46, 0x42, 3, 0, 0x5A, 0x5A, 0x5A] },
            { file in
                // 64-bit sizes where 32 would do, and a descriptor to match.
                file.records[1].sizes = (.max, .max)
                file.records[1].extra = ZipTests.wideSizes(16)
                file.records[1].descriptor = ZipTests.wideDescriptor(ZipTests.storageChecksum, 16)
            },
            { for index in $0.records.indices { $0.records[index].checksum = 0 } },
            { $0.records.append(.init("a/byteorder", Array("little".utf8))) },
            { $0.records.append(.init("a/.data/serialization_id", [1, 2, 3])) },
        ]
        for change in changes {
            let checkpoint = try Checkpoint.open(folder.write("a.bin", ZipTests.archive(change)))
            #expect(try Contents(checkpoint).bytes == [Array(0..<16)])
        }
    }

    @Test("an archive of 1 TiB is opened without reading it")
    func sparse() throws {
        let folder = TemporaryFolder()
        let count = 1 << 40
        let pickle = P.pickle(
            P.named([
                (
                    "a",
                    P.tensor(P.storage("ByteStorage", count: count), shape: [1 << 20, 1 << 20], strides: [1 << 20, 1])
                )
            ]))
        // The records, the hole, and then the descriptor, the directory and the end.
        var file = ZipBytes(pickle: pickle, storages: [("0", [])])
        file.records.removeLast()
        file.records[1].sizes = (.max, .max)
        file.records[1].extra = ZipTests.wideSizes(UInt64(count))
        let descriptor = ZipTests.wideDescriptor(0, count)
        file.records[1].descriptor = descriptor
        let whole = file.bytes
        let isDirectory = [0x50, 0x4B, 1, 2] as [UInt8]
        let directory = try #require(whole.indices.first { whole[$0...].starts(with: isDirectory) })
        let start = directory - descriptor.count
        let path = folder.write("a.bin", Array(whole[..<start]))
        Files.truncate(path, start + count)
        var end = Array(whole[(directory)...])
        // The ends say where the directory is: behind the hole.
        let index = end.count - 22 - 20 - 56
        end.replaceSubrange(index + 48..<index + 56, with: littleEndian(directory + count))
        end.replaceSubrange(index + 64..<index + 72, with: littleEndian(directory + count + index))
        end.replaceSubrange(end.count - 6..<end.count - 2, with: littleEndian(UInt32.max))
        Files.overwrite(path, at: start + count, descriptor + end)
        let time = try ContinuousClock().measure {
            let checkpoint = try Checkpoint.open(path)
            #expect(checkpoint.byteCount == count)
        }
        #expect(time < .seconds(5))
    }
}
