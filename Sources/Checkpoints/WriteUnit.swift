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

    /// The work of a file, in file order.
    static func units(of file: OutputPlan.File) -> [WriteUnit] {
        file.runs.flatMap { unit -> [WriteUnit] in
            switch unit {
            case .copy(let range, let byteOffset):
                return stride(from: 0, to: range.byteCount, by: copyByteCount).map { start in
                    let part = MappedRange(
                        file: range.file, byteOffset: range.byteOffset + start,
                        byteCount: min(copyByteCount, range.byteCount - start))
                    return .copy(part, byteOffset: byteOffset + start)
                }
            case .rows(let tensor, let rows, let byteOffset):
                let step = max(1, slabElementCount / max(1, tensor.rowLength))
                return stride(from: rows.lowerBound, to: rows.upperBound, by: step).map { start in
                    let part = start..<min(start + step, rows.upperBound)
                    return .rows(tensor, part, byteOffset: byteOffset + start * tensor.rowByteCount)
                }
            }
        }
    }
}

extension OutputPlan.File {
    /// What the file is made of, in order: ranges of inputs, those that lie together both there and here as one, and whole
    /// tensors that are computed.
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
