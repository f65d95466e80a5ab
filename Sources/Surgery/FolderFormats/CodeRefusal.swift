internal import Checkpoints

extension Tensor {
    /// The error for the first of some values that is NaN or infinite, which no code stands for; `nil` when all are finite.
    ///
    /// - Parameter elements: which elements of the tensor the values are.
    func codeRefusal(
        of values: UnsafePointer<Float>, elements: Range<Int>, file: String
    ) -> CheckpointError? {
        guard let element = elements.first(where: { !values[$0 - elements.lowerBound].isFinite }) else { return nil }
        return CheckpointError(
            file: file, tensor: name,
            "has the value \(values[element - elements.lowerBound]) in row \(element / rowLength), "
                + "column \(element % rowLength), which no code stands for")
    }
}
