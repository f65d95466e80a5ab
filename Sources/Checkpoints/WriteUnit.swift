/// One piece of the work of writing a file: a range of untouched bytes, or rows to compute.
enum WriteUnit {
    case copy(MappedRange, byteOffset: Int)
    case rows(Tensor, Range<Int>, byteOffset: Int)

    /// Rows of about this many elements are computed at once by one worker.
    private static let slabElementCount = 1 << 18
    /// Untouched bytes are copied in calls of at most this size, so that progress shows.
    private static let copyByteCount = 64 << 20

    /// Where its bytes begin in the output file.
    var byteOffset: Int {
        switch self {
        case .copy(_, let byteOffset), .rows(_, _, let byteOffset): byteOffset
        }
    }

    /// How many bytes it writes.
    var byteCount: Int {
        switch self {
        case .copy(let range, _): range.byteCount
        case .rows(let tensor, let rows, _): rows.count * tensor.rowByteCount
        }
    }

    /// The range of the output file that it fills.
    var byteRange: Range<Int> { byteOffset..<byteOffset + byteCount }

    /// The same work in pieces that are done at once.
    var pieces: [WriteUnit] {
        switch self {
        case .copy(let range, let byteOffset):
            let step = WriteUnit.copyByteCount
            return stride(from: 0, to: range.byteCount, by: step).map { start in
                let part = start..<min(start + step, range.byteCount)
                return .copy(range.part(part), byteOffset: byteOffset + start)
            }
        case .rows(let tensor, let rows, let byteOffset):
            let rowsTogether = tensor.recipe.rowsTogether
            let enough = max(1, WriteUnit.slabElementCount / max(1, tensor.rowLength))
            let step = (enough + rowsTogether - 1) / rowsTogether * rowsTogether
            return stride(from: rows.lowerBound, to: rows.upperBound, by: step).map { start in
                let part = start..<min(start + step, rows.upperBound)
                return .rows(tensor, part, byteOffset: byteOffset + (start - rows.lowerBound) * tensor.rowByteCount)
            }
        }
    }
}

extension WriteUnit {
    /// The ranges of the output file that use disk space; holes of an input stay holes.
    var placesOnDisk: [Range<Int>] {
        guard case .copy(let range, let byteOffset) = self else { return [byteRange] }
        return range.dataParts.map { byteOffset + $0.lowerBound..<byteOffset + $0.upperBound }
    }
}

extension OutputPlan.File {
    /// The bytes of the file on disk when ranges of some inputs are shared.
    func byteCountOnDisk(_ isShared: (MappedFile) -> Bool) -> Int {
        runs.reduce(header.count) { sum, run in
            if case .copy(let range, let byteOffset) = run, isShared(range.file),
                (range.byteOffset - byteOffset) % FileWriter.blockByteCount == 0
            {
                return sum + min(range.byteCount, 2 * FileWriter.blockByteCount)
            }
            return sum + run.placesOnDisk.reduce(0) { $0 + $1.count }
        }
    }
}

extension OutputPlan.File {
    /// The contents of the file in order: ranges of inputs, merged when contiguous in both files, and computed tensors.
    var runs: [WriteUnit] {
        var runs: [WriteUnit] = []
        for (tensor, byteOffset) in tensors where tensor.byteCount > 0 {
            guard let range = tensor.recipe.mappedRange else {
                runs.append(.rows(tensor, 0..<tensor.rowCount, byteOffset: byteOffset))
                continue
            }
            if case .copy(let last, let at)? = runs.last, last.file === range.file,
                last.byteOffset + last.byteCount == range.byteOffset, at + last.byteCount == byteOffset
            {
                let both = MappedRange(
                    file: last.file, byteOffset: last.byteOffset, byteCount: last.byteCount + range.byteCount)
                runs[runs.count - 1] = .copy(both, byteOffset: at)
            } else {
                runs.append(.copy(range, byteOffset: byteOffset))
            }
        }
        return runs
    }
}
