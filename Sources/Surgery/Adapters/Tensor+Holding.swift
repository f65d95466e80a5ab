internal import Checkpoints
internal import Formats
internal import Kernels
internal import Weights

extension Tensor {
    /// Whether its values equal those of another tensor of the same shape, rounded to its own type.
    func holds(_ other: Tensor) throws(CheckpointError) -> Bool {
        guard !dtype.isQuantized else { return false }
        let step = Tensor.valuesAtOnce
        let own = Scratch(floats: step), others = Scratch(floats: step)
        for start in stride(from: 0, to: count, by: step) {
            let part = start..<min(start + step, count)
            try writeValues(elements: part, into: own.floats)
            try other.writeValues(elements: part, into: others.floats)
            dtype.round(others.floats, count: part.count)
            for index in 0..<part.count where own.floats[index] != others.floats[index] { return false }
        }
        return true
    }
}
