internal import Checkpoints

extension Tensor {
    /// An error for the first NaN or infinity among the values, which no code can represent; `nil` when all are finite.
    ///
    /// - Parameter elements: the element range of the tensor that `values` holds.
    func codeRefusal(
        of values: UnsafePointer<Float>, elements: Range<Int>, file: String
    ) -> CheckpointError? {
        guard let element = elements.first(where: { !values[$0 - elements.lowerBound].isFinite }) else { return nil }
        return CheckpointError(
            file: file, tensor: name,
            "has the value \(values[element - elements.lowerBound]) in row \(element / rowLength), "
                + "column \(element % rowLength), which a quantized weight cannot hold")
    }
}
