internal import CStorage
internal import Formats

/// The fields of the blocks of a tensor, which decide which bytes are stored together.
struct PlaneLayout: Sendable, Hashable {
    /// Elements of one kind in a block.
    struct Field: Sendable, Hashable {
        /// Bytes of one element: 1, 2, 4 or 8.
        let unit: Int
        /// The number of bits to rotate an element left before its bytes are separated: 0 or 1.
        let turn: Int
        /// Bytes of all elements in one block.
        let byteCount: Int
    }

    static let maximumFields = 16
    static let maximumBlockByteCount = 1 << 16

    let fields: [Field]
    let blockByteCount: Int
    let planeCount: Int

    /// Bytes without a structure: one plane.
    static let plain = PlaneLayout([Field(unit: 1, turn: 0, byteCount: 1)])

    /// A layout of fields that were checked.
    init(_ fields: [Field]) {
        self.fields = fields
        blockByteCount = fields.reduce(0) { $0 + $1.byteCount }
        planeCount = fields.reduce(0) { $0 + $1.unit }
    }

    /// The bytes of a piece that is not the last of its span.
    var pieceByteCount: Int { ArchiveFormat.pieceByteCount - ArchiveFormat.pieceByteCount % blockByteCount }

    /// The size of each plane of a piece of `byteCount` bytes.
    func planeByteCounts(of byteCount: Int) -> [Int] {
        let blocks = byteCount / blockByteCount
        return fields.flatMap { field in
            Array(repeating: blocks * (field.byteCount / field.unit), count: field.unit)  // fits: a part of a piece
        }
    }

    /// Separates the bytes of whole blocks into planes, consecutive in `output`.
    func split(_ source: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
        precondition(output.count >= source.count && source.count % blockByteCount == 0)
        guard let base = source.bindMemory(to: UInt8.self).baseAddress else { return }
        var next = output.bindMemory(to: UInt8.self).baseAddress
        let blocks = source.count / blockByteCount
        forEachField { field in
            let size = blocks * Int(field.count)  // fits: a part of a piece
            let planes = (0..<Int(field.unit)).map { byte in next.map { $0 + byte * size } }  // fits: parts of a piece
            resect_split_field(base, Int64(blocks), field, planes)
            next = next.map { $0 + Int(field.unit) * size }  // fits: parts of a piece
        }
    }

    /// Puts planes together again, given one after another.
    func merge(_ planes: [UnsafePointer<UInt8>?], into output: UnsafeMutableRawBufferPointer) {
        precondition(planes.count == planeCount && output.count % blockByteCount == 0)
        guard let base = output.bindMemory(to: UInt8.self).baseAddress else { return }
        var index = 0
        forEachField { field in
            let unit = Int(field.unit)
            resect_merge_field(base, Int64(output.count / blockByteCount), field, Array(planes[index..<index + unit]))
            index += unit
        }
    }

    private func forEachField(_ body: (resect_field) -> Void) {
        var offset = 0
        for field in fields {
            body(
                resect_field(
                    stride: Int64(blockByteCount), offset: Int64(offset), count: Int64(field.byteCount / field.unit),
                    unit: Int32(field.unit), turn: Int32(field.turn)))
            offset += field.byteCount  // fits: a part of a block
        }
    }
}

extension PlaneLayout {
    /// The layout of an element type, from `formats/quants/planes.json`.
    static func of(_ dtype: DType) -> PlaneLayout { known[dtype] ?? plain }

    /// `"f16"` is a 2-byte float, `"i32"` a 4-byte integer, a number that many single bytes.
    private static let known: [DType: PlaneLayout] = {
        let file = EmbeddedFiles.parsed(under: "quants/planes.json").first?.value
        var layouts: [DType: PlaneLayout] = [:]
        guard let members = file?.object?.members else { return [:] }
        for (name, fields) in members {
            let parsed = (fields.array ?? []).map { field -> Field in
                if let count = field.int { return Field(unit: 1, turn: 0, byteCount: count) }
                let text = field.string ?? ""
                guard let bits = Int(text.dropFirst()), [8, 16, 32, 64].contains(bits) else {
                    preconditionFailure("formats/quants/planes.json: \(name) has a field '\(text)'")
                }
                return Field(unit: bits / 8, turn: text.hasPrefix("f") ? 1 : 0, byteCount: bits / 8)
            }
            let layout = PlaneLayout(parsed)
            guard let dtype = DType(named: name), layout.blockByteCount == dtype.blockByteCount else {
                preconditionFailure("formats/quants/planes.json: \(name) is not a type of that size")
            }
            layouts[dtype] = layout
        }
        return layouts
    }()
}
