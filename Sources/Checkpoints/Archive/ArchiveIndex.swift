/// The contents of an archive and their offsets. It is checked as a whole, so that later code need not check.
package struct ArchiveIndex: Sendable {
    /// What the files of an archive are.
    enum Kind: UInt8, Sendable {
        case file = 0
        case folder = 1
        case shards = 2
    }

    /// How a span depends on the base of a patch.
    enum BaseUse: Sendable, Equatable {
        /// Not at all.
        case none
        /// The span equals this tensor of the base, by its index.
        case same(Int)
        /// The exclusive or with this tensor of the base is stored.
        case difference(Int)
    }

    /// Bytes of a file with one layout: a tensor, or the bytes between tensors.
    struct Span: Sendable {
        let byteOffset: Int
        let byteCount: Int
        /// 0 for bytes outside tensors, else the index in `layouts` plus one.
        let layout: Int
        let base: BaseUse
        let firstPiece: Int
        let firstPlane: Int
    }

    /// One file.
    struct File: Sendable {
        let name: String
        let byteCount: Int
        let spans: Range<Int>
    }

    /// A tensor of the base that a patch refers to.
    struct BaseTensor: Sendable {
        let name: String
        let byteCount: Int
        let digest: Digest
    }

    /// The base checkpoint of a patch.
    struct Base: Sendable {
        let digest: Digest
        let tensors: [BaseTensor]
    }

    /// How a plane is stored.
    struct Plane: Sendable {
        private let bits: UInt32

        init(byteCount: Int, isCompressed: Bool) {
            bits = UInt32(byteCount) << 1 | (isCompressed ? 1 : 0)  // fits: a piece has at most 1 MiB
        }

        /// Bytes in the archive.
        var byteCount: Int { Int(bits >> 1) }
        /// Whether the bytes are a zstd frame.
        var isCompressed: Bool { bits & 1 != 0 }
        /// The number in the index.
        var code: UInt32 { bits }
    }

    var kind: Kind
    var name: String
    var layouts: [PlaneLayout]
    var base: Base?
    var files: [File] = []
    var spans: [Span] = []
    /// Where each piece begins in the archive, and where the last one ends.
    var pieceOffsets: [Int] = [ArchiveFormat.headByteCount]
    /// XXH3-64 of each piece as it was.
    var pieceHashes: [UInt64] = []
    var planes: [Plane] = []

    /// The plane layout of a span.
    func layout(of span: Span) -> PlaneLayout { span.layout == 0 ? .plain : layouts[span.layout - 1] }

    /// How many pieces a span is stored in.
    func pieceCount(of span: Span) -> Int {
        if case .same = span.base { return 0 }
        let size = layout(of: span).pieceByteCount
        return span.byteCount / size + (span.byteCount % size > 0 ? 1 : 0)
    }

    /// The byte range of a piece, relative to the start of its span.
    func range(ofPiece piece: Int, in span: Span) -> Range<Int> {
        let size = layout(of: span).pieceByteCount
        return piece * size..<min((piece + 1) * size, span.byteCount)  // fits: the index has a hash for each piece
    }

    /// The span of a file that contains a byte.
    func span(of file: File, at byteOffset: Int) -> Int {
        var range = file.spans
        while range.count > 1 {
            let middle = range.lowerBound + range.count / 2
            range = spans[middle].byteOffset <= byteOffset ? middle..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }

    /// The bytes of all files.
    var byteCount: Int { files.reduce(0) { $0 + $1.byteCount } }
}
