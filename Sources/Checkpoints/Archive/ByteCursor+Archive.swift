/// Reading of the values in the index of an archive.
extension ByteCursor {
    /// A cursor at the start of the index of the archive `path`, which begins at `start`.
    init(index bytes: UnsafeRawBufferPointer, path: String, start: Int) {
        self.init(bytes, called: "the index", path: path, start: start)
    }

    /// One byte.
    mutating func byte(_ what: String) throws(CheckpointError) -> UInt8 { try integer(what) }

    /// A varint in as few bytes as possible.
    mutating func number(_ what: String) throws(CheckpointError) -> Int {
        var value = 0
        for shift in stride(from: 0, to: 63, by: 7) {
            let byte = try byte(what)
            value |= Int(byte & 0x7F) << shift  // fits: 63 bits at most
            if byte & 0x80 == 0 {
                if byte == 0, shift > 0 { break }
                return value
            }
        }
        throw error("\(what) is not a number")
    }

    /// A varint that counts things of at least `unit` bytes each.
    mutating func number(of unit: Int, limit: Int, _ what: String) throws(CheckpointError) -> Int {
        let count = try number(what)
        return try checked(count, of: unit, limit: limit, what)
    }

    /// XXH3-64.
    mutating func hash(_ what: String) throws(CheckpointError) -> UInt64 { try integer(what) }

    private mutating func digest(_ what: String) throws(CheckpointError) -> Digest {
        Digest(high: try hash(what).byteSwapped, low: try hash(what).byteSwapped)
    }

    private mutating func string(_ what: String) throws(CheckpointError) -> String {
        let count = try number(what)
        guard let text = String(validating: try take(count, what), as: UTF8.self) else {
            throw error("\(what) is not UTF-8")
        }
        return text
    }

    /// The name of a file, which must not lead out of its folder.
    mutating func fileName(_ what: String) throws(CheckpointError) -> String {
        let name = try string(what)
        guard ArchiveFormat.isFileName(name) else {
            throw error("\(what) is '\(name)', which is not the name of a file")
        }
        return name
    }

    /// The path of a file in a folder or its sub-folders.
    mutating func relativePath(_ what: String) throws(CheckpointError) -> String {
        let name = try string(what)
        guard ArchiveFormat.isRelativePath(name) else {
            throw error("\(what) is '\(name)', which is not the name of a file")
        }
        return name
    }

    /// The layout of the blocks of a tensor.
    mutating func layout() throws(CheckpointError) -> PlaneLayout {
        let what = "the fields of a layout"
        let count = try number(of: 3, limit: PlaneLayout.maximumFields, what)
        guard count > 0 else { throw error("a layout has no fields") }
        var fields: [PlaneLayout.Field] = []
        var total = 0
        for _ in 0..<count {
            let unit = Int(try byte(what))
            let turn = Int(try byte(what))
            let byteCount = try number(what)
            guard [1, 2, 4, 8].contains(unit), turn == 0 || turn == 1 && unit > 1, byteCount > 0, byteCount % unit == 0,
                byteCount <= PlaneLayout.maximumBlockByteCount - total
            else { throw error("a layout has a field of \(byteCount.grouped) bytes in elements of \(unit)") }
            total += byteCount
            fields.append(PlaneLayout.Field(unit: unit, turn: turn, byteCount: byteCount))
        }
        return PlaneLayout(fields)
    }

    /// The base of a patch and the tensors that the patch refers to.
    mutating func base() throws(CheckpointError) -> ArchiveIndex.Base {
        let digest = try digest("the base")
        var tensors: [ArchiveIndex.BaseTensor] = []
        for _ in 0..<(try number(of: 18, limit: ArchiveFormat.maximumSpans, "the number of tensors of the base")) {
            let name = try string("the name of a tensor of the base")
            let byteCount = try number("the size of a tensor of the base")
            tensors.append(
                ArchiveIndex.BaseTensor(
                    name: name, byteCount: byteCount, digest: try self.digest("the hash of a tensor of the base")))
        }
        return ArchiveIndex.Base(digest: digest, tensors: tensors)
    }

    /// A span that begins at an offset of its file.
    mutating func span(
        at byteOffset: Int, firstPiece: Int, firstPlane: Int
    ) throws(CheckpointError) -> ArchiveIndex.Span {
        let byteCount = try number("the size of a span")
        let layout = try number("the layout of a span")
        let use = try number("the base of a span")
        let base: ArchiveIndex.BaseUse =
            use == 0 ? .none : use % 2 == 1 ? .same((use - 1) / 2) : .difference((use - 2) / 2)
        return ArchiveIndex.Span(
            byteOffset: byteOffset, byteCount: byteCount, layout: layout, base: base, firstPiece: firstPiece,
            firstPlane: firstPlane)
    }
}
