internal import Formats

/// The form of PyTorch files before 1.6: pickles one after another, then the storages.
enum LegacyPyTorch {
    /// The pickle of the magic number, as torch.save has always written it.
    static let magic: [UInt8] = [0x80, 2, 0x8A, 10] + number + [0x2E]
    private static let number: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]

    /// The tensors of a file.
    static func read(_ file: any FileImage) throws(CheckpointError) -> [Tensor] {
        let front = UnsafeRawBufferPointer(rebasing: file.bytes.prefix(PyTorch.maximumPickleBytes))
        var cursor = ByteCursor(pickle: front, path: file.path, start: 0)
        try checkStart(&cursor)
        let (pickle, afterObject) = try Unpickler.run(cursor, storages: .allowed)
        cursor = afterObject
        let keys = try keys(&cursor)
        let places = try places(of: pickle, keys: keys, start: cursor.position, file)
        return try StateDictionary(pickle, afterObject).tensors(places: places, file: file)
    }

    /// The magic number, the protocol, and what the system was.
    private static func checkStart(_ cursor: inout ByteCursor) throws(CheckpointError) {
        let magic = try next(&cursor)
        guard case .long(let span) = magic.values[magic.root], cursor[span].elementsEqual(number) else {
            throw CheckpointError(
                file: cursor.path, "is a pickle, but none that torch.save wrote",
                hint: "load it where it comes from, and save its tensors as safetensors")
        }
        let version = try next(&cursor)
        guard version.values.int(version.root) == 1001 else {
            throw CheckpointError(file: cursor.path, "is a PyTorch file of a protocol other than 1,001")
        }
        let system = try next(&cursor)
        guard case .dictionary(let members) = system.values[system.root] else {
            throw CheckpointError(file: cursor.path, "does not state the system that wrote it")
        }
        for index in stride(from: 0, to: members.count, by: 2) {
            guard case .text(let key) = system.values[members[index]], cursor[key].elementsEqual("little_endian".utf8)
            else { continue }
            guard case .bool(true) = system.values[members[index + 1]] else {
                throw CheckpointError(
                    file: cursor.path, "was written on a big-endian system in the form before 1.6, which is not read")
            }
        }
    }

    private static func next(_ cursor: inout ByteCursor) throws(CheckpointError) -> Pickle {
        let (pickle, rest) = try Unpickler.run(cursor, storages: .forbidden)
        cursor = rest
        return pickle
    }

    /// The keys of the storages, in the order in which they follow.
    private static func keys(_ cursor: inout ByteCursor) throws(CheckpointError) -> [String] {
        let pickle = try next(&cursor)
        guard case .list(let items) = pickle.values[pickle.root] else {
            throw CheckpointError(file: cursor.path, "has no list of its storages")
        }
        var keys: [String] = []
        for item in items {
            guard case .text(let key) = pickle.values[item] else {
                throw CheckpointError(file: cursor.path, "has a storage whose key is not a string")
            }
            keys.append(try cursor.text(key))
        }
        return keys
    }

    /// Where the storages are; after the last one the file ends.
    private static func places(
        of pickle: Pickle, keys: [String], start: Int, _ file: any FileImage
    ) throws(CheckpointError) -> [StoragePlace] {
        var numbers: [ExactString: Int] = [:]
        for (number, storage) in pickle.storages.enumerated() { numbers[ExactString(storage.key)] = number }
        var places: [StoragePlace?] = Array(repeating: nil, count: pickle.storages.count)
        var position = start
        for key in keys {
            guard let number = numbers[ExactString(key)], places[number] == nil else {
                throw CheckpointError(
                    file: file.path, "lists the storage '\(key)', which no tensor uses, or lists it twice")
            }
            let storage = pickle.storages[number]
            guard file.byteCount - position >= 8 else {
                throw CheckpointError(
                    file: file.path, byteOffset: position, "ends before the storage '\(key)'",
                    hint: "the file is incomplete; fetch it again")
            }
            let stored = UInt64(littleEndian: file.bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
            guard stored == UInt64(exactly: storage.count) else {
                throw CheckpointError(
                    file: file.path, byteOffset: position,
                    "the storage '\(key)' has \(stored.grouped) elements; its tensors expect \(storage.count.grouped)")
            }
            position += 8
            let place = try StoragePlace(
                storage, byteOffset: position, byteCount: nil, isBigEndian: false, file: file)
            places[number] = place
            position += place.byteCount
        }
        guard position == file.byteCount else {
            throw CheckpointError(
                file: file.path,
                "its storages end at byte \(position.grouped); the file has \(file.byteCount.grouped)")
        }
        let found = places.compactMap { $0 }
        guard found.count == places.count else {
            throw CheckpointError(file: file.path, "does not list all storages that its tensors use")
        }
        return found
    }
}
