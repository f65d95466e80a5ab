internal import Formats

extension ArchivePlan {
    /// Replaces tensors found in the base by references; stores the others as differences where that is smaller.
    mutating func refer(
        to base: Checkpoint, from checkpoint: Checkpoint, threads: Int
    ) throws(CheckpointError) {
        let ours = try Hashing(threads: threads).digests(of: checkpoint.tensors)
        let manifest = try Manifest(base, threads: threads)
        let theirs = manifest.entries.map(\.digest)
        var known: [Digest: Int] = [:]
        for (tensorIndex, digest) in theirs.enumerated().reversed() { known[digest] = tensorIndex }
        let related = BaseTensors(checkpoint: checkpoint, base: base) { known[ours[$0]] }
        var referred: [ArchiveIndex.BaseTensor] = []
        var numbers: [Int: Int] = [:]
        func number(of tensor: Int) -> Int {
            if let number = numbers[tensor] { return number }
            numbers[tensor] = referred.count
            baseTensors.append(tensor)
            referred.append(
                ArchiveIndex.BaseTensor(
                    name: base.tensors[tensor].name, byteCount: base.tensors[tensor].byteCount, digest: theirs[tensor]))
            return referred.count - 1
        }
        let workspace = PieceWorkspace()
        for spanIndex in index.spans.indices {
            guard let tensor = places[spanIndex].tensor else { continue }
            let byteCount = index.spans[spanIndex].byteCount
            if let same = known[ours[tensor]], base.tensors[same].byteCount == byteCount {
                index.spans[spanIndex] = index.spans[spanIndex].with(.same(number(of: same)))
            } else if let other = related.of(tensor),
                try isSmaller(spanIndex, against: base.tensors[other], workspace)
            {
                index.spans[spanIndex] = index.spans[spanIndex].with(.difference(number(of: other)))
            }
        }
        index.base = ArchiveIndex.Base(digest: manifest.total, tensors: referred)
    }

    /// Whether the difference packs smaller than the tensor, judged by a few pieces.
    private func isSmaller(
        _ spanIndex: Int, against other: Tensor, _ workspace: PieceWorkspace
    ) throws(CheckpointError) -> Bool {
        let span = index.spans[spanIndex]
        let layout = index.layout(of: span)
        let count = index.pieceCount(of: span)
        var (whole, difference) = (0, 0)
        for piece in Set([0, count / 3, 2 * count / 3, count - 1]) {
            let range = index.range(ofPiece: piece, in: span)
            let raw = places[spanIndex].range.bytes(range.lowerBound, range.count)
            func size(_ planes: [ArchiveIndex.Plane]) -> Int { planes.reduce(0) { $0 + $1.byteCount } }
            whole += size(PieceEncoder.encode(raw, as: .weights, layout: layout, workspace))
            difference += try other.recipe.withBytes(rows: range, rowByteCount: 1) {
                size(PieceEncoder.encode(raw, as: .weights, layout: layout, difference: $0, workspace))
            }
        }
        return difference < whole
    }
}

extension ArchiveIndex.Span {
    /// The same span with another use of the base.
    func with(_ base: ArchiveIndex.BaseUse) -> ArchiveIndex.Span {
        ArchiveIndex.Span(
            byteOffset: byteOffset, byteCount: byteCount, layout: layout, base: base, firstPiece: firstPiece,
            firstPlane: firstPlane)
    }
}

/// The base tensor that a changed tensor corresponds to: the one of its name, after renumbering layers as the unchanged
/// layers show.
struct BaseTensors {
    private let checkpoint: Checkpoint
    private let base: Checkpoint
    private let indices: [ExactString: Int]
    private let pattern: LayerPattern?
    private let layers: [Int]

    /// - Parameter same: the tensor of the base that a tensor is equal to.
    init(checkpoint: Checkpoint, base: Checkpoint, same: (Int) -> Int?) {
        self.checkpoint = checkpoint
        self.base = base
        indices = Dictionary(
            base.tensors.enumerated().map { (ExactString($1.name), $0) }, uniquingKeysWith: { first, _ in first })
        pattern = checkpoint.layerPattern
        var found = [Int?](repeating: nil, count: pattern?.count ?? 0)
        if let pattern, let theirs = base.layerPattern {
            for (index, tensor) in checkpoint.tensors.enumerated() {
                guard let layer = pattern.layer(of: tensor.name), found.indices.contains(layer),
                    let other = same(index)
                else { continue }
                found[layer] = found[layer] ?? theirs.layer(of: base.tensors[other].name)
            }
        }
        // A layer without unchanged tensors follows the layer before it.
        var next = 0
        layers = found.map { layer in
            let number = layer ?? next
            next = number + 1
            return number
        }
    }

    /// The index of the corresponding base tensor; `nil` without one of the same type and shape.
    func of(_ tensor: Int) -> Int? {
        let tensor = checkpoint.tensors[tensor]
        var names = [tensor.name]
        if let pattern, let layer = pattern.layer(of: tensor.name), layers.indices.contains(layer) {
            names.insert(pattern.renumber(tensor.name, to: layers[layer]), at: 0)
        }
        return names.lazy.compactMap { indices[ExactString($0)] }.first { index in
            base.tensors[index].dtype == tensor.dtype && base.tensors[index].shape == tensor.shape
        }
    }
}
