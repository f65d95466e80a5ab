internal import Formats

/// The importance of each column of a model's matrices, as llama.cpp's llama-imatrix measures it on a text: the mean of
/// the squared inputs of the column.
///
/// Values are read from the file when rows are encoded.
public struct ImportanceMatrix: Sendable {
    /// The path, as the user named it.
    public let path: String
    /// The measured sums of each tensor, by its GGUF name.
    private let entries: [ExactString: Entry]
    /// The names of the texts that it was measured on.
    public let datasets: [String]
    /// The number of chunks of the text that were run; 0 when not stated.
    public let chunkCount: Int
    /// The minimum layer count of the measured model, by the names of the entries.
    public let layerCount: Int
    /// The file.
    package let source: MappedFile

    /// The sums of one tensor.
    public struct Entry: Sendable {
        /// f32, one for each column of each matrix, at any address.
        private let sums: MappedRange
        /// The divisors of the sums, one for each of as many equal parts; `nil` for a part without inputs, whose columns
        /// all get the weight 1.
        private let divisors: [Float?]

        /// The number of weights.
        public let count: Int

        /// The tensors of the entry in the GGUF form: the sums and their counts.
        func tensors(named name: String) -> [Tensor] {
            let matrices = divisors.count
            let counts = divisors.map { $0 ?? 0 }
            return [
                Tensor(
                    name: name + ImportanceMatrix.sumSuffix, dtype: .f32, shape: [matrices, count / matrices],
                    recipe: .mapped(sums)),
                Tensor(
                    name: name + ImportanceMatrix.countSuffix, dtype: .f32, shape: [matrices, 1],
                    recipe: .computed(Counts(values: counts))),
            ]
        }

        /// Checked sums.
        ///
        /// - Precondition: the range holds f32, in as many equal parts as there are divisors.
        init(sums: MappedRange, divisors: [Float?]) {
            count = sums.byteCount / ImportanceMatrix.width
            precondition(!divisors.isEmpty && count % divisors.count == 0)
            self.sums = sums
            self.divisors = divisors
        }

        /// The weights of a range of columns, numbered through all matrices, as llama-quantize computes them.
        ///
        /// - Precondition: the columns are below `count`.
        public func weights(_ columns: Range<Int>) -> [Float] {
            precondition(columns.lowerBound >= 0 && columns.upperBound <= count)
            let part = count / divisors.count
            defer { withExtendedLifetime(sums.file) {} }
            let bytes = sums.rows(columns, ImportanceMatrix.width)
            return columns.indices.map { column in
                guard let divisor = divisors[column / part] else { return 1 }
                let index = column - columns.lowerBound
                return bytes.float(at: index) / divisor
            }
        }
    }

    /// The size of a sum in bytes.
    static let width = MemoryLayout<Float>.size

    /// The divisors of the sums, as rows of one f32.
    private struct Counts: RowSource {
        let values: [Float]

        var description: String { "counts " + values.map { "\($0)" }.joined(separator: " ") }

        func write(rows: Range<Int>, into output: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
            for (index, row) in rows.enumerated() {
                let bits = values[row].bitPattern.littleEndian
                let start = index * ImportanceMatrix.width  // fits: an index of the rows
                output.storeBytes(of: bits, toByteOffset: start, as: UInt32.self)
            }
        }
    }

    /// The contents of a file.
    struct Contents {
        var entries: [ExactString: Entry] = [:]
        /// The names of the entries, in the order of the file.
        var names: [String] = []
        var datasets: [String] = []
        var chunkCount = 0
    }

    /// Opens an importance matrix, in the GGUF form or the older one.
    ///
    /// - Throws: when the file is not an importance matrix, or has negative or non-finite sums.
    public init(path: String) throws(CheckpointError) {
        let file = try MappedFile(path: path)
        if file.byteCount == 0 { throw CheckpointError(file: path, "is empty") }
        let isGGUF = file.bytes.starts(with: GGUF.magic)
        let contents = try isGGUF ? ImportanceMatrix.readGGUF(file) : ImportanceMatrix.readLegacy(file)
        self.path = path
        source = file
        entries = contents.entries
        datasets = contents.datasets
        chunkCount = contents.chunkCount
        let layers = contents.entries.keys.compactMap { LayerPattern.layer(ofGGUF: $0.text) }
        layerCount = layers.max().map { $0 + 1 } ?? 0
    }

    /// The number of measured tensors.
    public var count: Int { entries.count }

    /// The measured sums of a tensor.
    public func entry(_ tensor: String) -> Entry? { entries[ExactString(tensor)] }

    /// Checks that sums of squares are finite and not negative.
    static func check(_ sums: MappedRange, of tensor: String) throws(CheckpointError) {
        let bytes = sums.bytes(0, sums.byteCount)
        defer { withExtendedLifetime(sums.file) {} }
        for index in 0..<sums.byteCount / width {
            let value = bytes.float(at: index)
            guard value >= 0, value.isFinite else {
                throw CheckpointError(
                    file: sums.file.path, tensor: tensor,
                    "has the sum \(value) for column \(index), which is not a sum of squares",
                    hint: "measure it again; llama-imatrix writes such sums when the model computes NaN")
            }
        }
    }
}

extension UnsafeRawBufferPointer {
    /// The little-endian f32 at an index.
    func float(at index: Int) -> Float {
        let start = index * ImportanceMatrix.width  // fits: a position in the bytes
        return Float(bitPattern: UInt32(littleEndian: loadUnaligned(fromByteOffset: start, as: UInt32.self)))
    }
}

extension LayerPattern {
    /// The layer of a tensor by its GGUF name, `blk.3.attn_q.weight`; `nil` outside the layers.
    package static func layer(ofGGUF name: String) -> Int? { LayerName(name, prefix: "blk.")?.layer }
}
