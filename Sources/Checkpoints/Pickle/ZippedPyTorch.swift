internal import Formats

/// The zip form of a PyTorch file.
enum ZippedPyTorch {
    private static let maximumSmallRecord = 64

    /// The tensors of a file. Only the records that are read, the pickle and the small ones, are checked against their
    /// checksums: to check the weights, opening a model would have to read all of them.
    static func read(_ file: any FileImage) throws(CheckpointError) -> [Tensor] {
        let directory = try ZipDirectory(bytes: file.bytes, path: file.path)
        let folder = try folder(of: directory, file)
        guard let object = directory[folder + "data.pkl"] else {
            throw CheckpointError(file: file.path, "is a zip archive without data.pkl, so it is not a PyTorch file")
        }
        if directory.records.contains(where: {
            $0.name == folder + "constants.pkl" || $0.name.hasPrefix(folder + "code/")
        }) {
            throw isProgram(file.path)
        }
        guard object.byteCount <= PyTorch.maximumPickleBytes else {
            throw CheckpointError(
                file: file.path,
                "data.pkl has \(object.byteCount.grouped) bytes; at most \(PyTorch.maximumPickleBytes.grouped) are read"
            )
        }
        let isBig = try isBigEndian(directory, folder, file)
        let cursor = ByteCursor(
            pickle: try contents(object, of: directory, file), path: file.path, start: object.byteOffset)
        let (pickle, rest) = try Unpickler.run(cursor, storages: .allowed)
        guard rest.left == 0 else { throw rest.error("the pickle has \(rest.left.grouped) bytes after its end") }
        var places: [StoragePlace] = []
        for storage in pickle.storages {
            guard let record = directory[folder + "data/" + storage.key] else {
                throw CheckpointError(file: file.path, "has no record for the storage '\(storage.key)'")
            }
            places.append(
                try StoragePlace(
                    storage, byteOffset: record.byteOffset, byteCount: record.byteCount, isBigEndian: isBig, file: file)
            )
        }
        return try StateDictionary(pickle, rest).tensors(places: places, file: file)
    }

    /// The error for an archive that contains code.
    static func isProgram(_ path: String) -> CheckpointError {
        CheckpointError(
            file: path, "is a TorchScript archive, which contains a program and not only weights",
            hint: "load it in PyTorch and save its state_dict()")
    }

    /// The folder that all records are in, with its slash.
    private static func folder(
        of directory: ZipDirectory, _ file: any FileImage
    ) throws(CheckpointError) -> String {
        let slash = UInt8(ascii: "/")
        guard let first = directory.records.first?.name.utf8, let end = first.firstIndex(of: slash) else {
            throw CheckpointError(file: file.path, "is a zip archive without data.pkl, so it is not a PyTorch file")
        }
        let folder = String(decoding: first[...end], as: UTF8.self)
        for record in directory.records where !record.name.utf8.starts(with: folder.utf8) {
            throw CheckpointError(
                file: file.path, "has the record '\(record.name)', which is not in the archive's folder '\(folder)'")
        }
        return folder
    }

    /// The bytes of a record, checked against its checksum.
    private static func contents(
        _ record: ZipDirectory.Record, of directory: ZipDirectory, _ file: any FileImage
    ) throws(CheckpointError) -> UnsafeRawBufferPointer {
        let range = record.byteOffset..<record.byteOffset + record.byteCount  // fits: it lies in the file
        let bytes = UnsafeRawBufferPointer(rebasing: file.bytes[range])
        let checksum = Checksum32.of(bytes)
        guard checksum == record.checksum || !directory.hasChecksums else {
            throw CheckpointError(
                file: file.path, byteOffset: record.byteOffset,
                "the record '\(record.name)' has the checksum 0x\(String(checksum, radix: 16)); the archive states 0x"
                    + String(record.checksum, radix: 16), hint: "the file is damaged; fetch it again")
        }
        return bytes
    }

    private static func isBigEndian(
        _ directory: ZipDirectory, _ folder: String, _ file: any FileImage
    ) throws(CheckpointError) -> Bool {
        guard let record = directory[folder + "byteorder"] else { return false }
        if record.byteCount <= maximumSmallRecord {
            let bytes = try contents(record, of: directory, file)
            if bytes.elementsEqual("little".utf8) { return false }
            if bytes.elementsEqual("big".utf8) { return true }
        }
        throw CheckpointError(file: file.path, "has a byteorder that is neither little nor big")
    }
}
