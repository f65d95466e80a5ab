internal import Formats

/// The plan of an archive: the files, divided into spans.
struct ArchivePlan: Sendable {
    /// The bytes of a span, and the index of its tensor in the checkpoint.
    struct Place: Sendable {
        let range: MappedRange
        let tensor: Int?
    }

    var index: ArchiveIndex
    /// For each span.
    var places: [Place] = []
    /// The indices of the base tensors that the index refers to.
    var baseTensors: [Int] = []
    /// Names in the folder that are left out.
    private(set) var leftOut: [String] = []
    private var layoutNumbers: [PlaneLayout: Int] = [:]

    /// Plans an archive of the files that a checkpoint was opened from.
    init(_ checkpoint: Checkpoint) throws(CheckpointError) {
        var kind = ArchiveIndex.Kind.folder
        if checkpoint.form != .folder { kind = checkpoint.sources.count > 1 ? .shards : .file }
        let name = checkpoint.path.lastPathComponent
        index = ArchiveIndex(kind: kind, name: ArchiveFormat.isFileName(name) ? name : "model", layouts: [])
        for (name, file) in try files(of: checkpoint) {
            guard ArchiveFormat.isRelativePath(name) else {
                throw CheckpointError(file: file.path, "has a name that an archive cannot store")
            }
            add(file, named: name, tensors: try ArchivePlan.tensors(of: file, in: checkpoint))
        }
    }

    /// Every regular file of a folder and the companions in its sub-folders, or the files of the checkpoint; each with
    /// its name.
    private mutating func files(
        of checkpoint: Checkpoint
    ) throws(CheckpointError) -> [(name: String, file: MappedFile)] {
        guard checkpoint.form == .folder else { return checkpoint.sources.map { ($0.name, $0) } }
        var files: [(name: String, file: MappedFile)] = []
        var names: [String] = []
        for name in try FileSystem.names(in: checkpoint.path, hidden: true) {
            let inner = checkpoint.companions.map(\.name).filter { $0.hasPrefix(name + "/") }
            if FileSystem.isRegularFile(checkpoint.path + "/" + name), isInside(name, checkpoint) {
                names.append(name)
            } else if inner.isEmpty {
                leftOut.append(name)
            } else {
                names += inner
                leftOut += checkpoint.leftOut.filter { $0.hasPrefix(name + "/") }
            }
        }
        for name in names {
            let path = checkpoint.path + "/" + name
            let source = checkpoint.sources.first { $0.path == path }
            if let source { files.append((name, source)) } else { files.append((name, try MappedFile(path: path))) }
        }
        return files
    }

    /// Whether a file is really in the folder: the path of a link to another place is an error.
    private func isInside(_ name: String, _ checkpoint: Checkpoint) -> Bool {
        (try? FolderFile.path(name, in: checkpoint.path)) != nil
    }

    /// The ranges of a file that are tensors, in order, without those that overlap an earlier one.
    private static func tensors(
        of file: MappedFile, in checkpoint: Checkpoint
    ) throws(CheckpointError) -> [(range: MappedRange, dtype: DType, index: Int?)] {
        var found: [(range: MappedRange, dtype: DType, index: Int?)] = []
        for (index, tensor) in checkpoint.tensors.enumerated() {
            guard let range = tensor.recipe.mappedRange, range.file === file, range.byteCount > 0 else { continue }
            found.append((range, tensor.dtype, index))
        }
        if found.isEmpty, file.name.hasSuffix(".safetensors") { found = others(in: file) }
        found.sort { $0.range.byteOffset < $1.range.byteOffset }
        var end = 0
        return found.filter { tensor in
            guard tensor.range.byteOffset >= end else { return false }
            end = tensor.range.byteOffset + tensor.range.byteCount
            return true
        }
    }

    /// The tensors of a file in the folder that is not part of the checkpoint; empty when it cannot be read.
    private static func others(in file: MappedFile) -> [(range: MappedRange, dtype: DType, index: Int?)] {
        do throws(CheckpointError) {
            return try Safetensors.read(file).tensors.compactMap { tensor in
                tensor.recipe.mappedRange.flatMap { $0.byteCount > 0 ? ($0, tensor.dtype, nil) : nil }
            }
        } catch {
            return []
        }
    }

    private mutating func add(
        _ file: MappedFile, named name: String, tensors: [(range: MappedRange, dtype: DType, index: Int?)]
    ) {
        let first = index.spans.count
        var end = 0
        for (range, dtype, tensor) in tensors {
            addGap(file, end..<range.byteOffset)
            add(range, at: range.byteOffset, layout: number(of: PlaneLayout.of(dtype)), tensor: tensor)
            end = range.byteOffset + range.byteCount
        }
        addGap(file, end..<file.byteCount)
        index.files.append(
            ArchiveIndex.File(name: name, byteCount: file.byteCount, spans: first..<index.spans.count))
    }

    private mutating func addGap(_ file: MappedFile, _ gap: Range<Int>) {
        if gap.isEmpty { return }
        let range = MappedRange(file: file, byteOffset: gap.lowerBound, byteCount: gap.count)
        add(range, at: gap.lowerBound, layout: 0, tensor: nil)
    }

    private mutating func add(_ range: MappedRange, at byteOffset: Int, layout: Int, tensor: Int?) {
        index.spans.append(
            ArchiveIndex.Span(
                byteOffset: byteOffset, byteCount: range.byteCount, layout: layout, base: .none, firstPiece: 0,
                firstPlane: 0))
        places.append(Place(range: range, tensor: tensor))
    }

    /// A layout's number in the index, which lists those that are used.
    private mutating func number(of layout: PlaneLayout) -> Int {
        if let number = layoutNumbers[layout] { return number }
        index.layouts.append(layout)
        layoutNumbers[layout] = index.layouts.count
        return index.layouts.count
    }

    /// Numbers the pieces of all spans that are stored.
    ///
    /// - Returns: how many there are.
    mutating func numberPieces() -> Int {
        var (pieces, planes) = (0, 0)
        index.spans = index.spans.map { span in
            defer {
                let count = index.pieceCount(of: span)
                pieces += count
                planes += count * index.layout(of: span).planeCount
            }
            return ArchiveIndex.Span(
                byteOffset: span.byteOffset, byteCount: span.byteCount, layout: span.layout, base: span.base,
                firstPiece: pieces, firstPlane: planes)
        }
        return pieces
    }

    /// The span that a piece belongs to.
    func span(ofPiece piece: Int) -> Int {
        // The last one that begins at or before it: spans without pieces begin where the next one does.
        var range = index.spans.indices
        while range.count > 1 {
            let middle = range.lowerBound + range.count / 2
            range =
                index.spans[middle].firstPiece <= piece
                ? middle..<range.upperBound : range.lowerBound..<middle
        }
        return range.lowerBound
    }
}
