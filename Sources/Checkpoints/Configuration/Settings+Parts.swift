package import Formats

extension Settings {
    /// The rows of a stored tensor that are a role, in the role's order; `nil` when they are all of its rows as they
    /// are.
    ///
    /// - Parameter rowCount: the rows of the stored tensor.
    /// - Throws: when these do not fill the grid of the part.
    package func rows(
        of part: TensorPart, rowCount: Int, tensor: String, file: String
    ) throws(CheckpointError) -> RowMap? {
        if let role = part.pairedHeads {
            let heads = try int(role)
            guard rowCount >= heads, rowCount % heads == 0, rowCount / heads % 2 == 0 else {
                throw CheckpointError(
                    file: file, tensor: tensor, "has \(rowCount) rows, which do not divide into \(heads) heads")
            }
            return .halves(heads: heads, headSize: rowCount / heads)
        }
        guard !part.dims.isEmpty else { return nil }
        let grid = try grid(of: part)
        guard let product = grid.sizes.checkedProduct, product == rowCount else {
            throw CheckpointError(
                file: file, tensor: tensor, "has \(rowCount) rows; the configuration asks for a grid of \(grid.sizes)")
        }
        var axes: [RowMap.Axis] = [], first = 0
        for axis in grid.sizes.indices {
            let stride = grid.sizes[(axis + 1)...].reduce(1, *)  // fits: a part of the product
            guard let taken = part.taken, taken.axis == axis else {
                axes.append(.init(count: grid.sizes[axis], stride: stride))
                continue
            }
            first = grid.start * stride  // fits: a row of the tensor
            if case .run = taken.part { axes.append(.init(count: grid.taken, stride: stride)) }
        }
        return RowMap(axes: part.order.isEmpty ? axes : part.order.map { axes[$0] }, first: first)
    }

    /// The lengths of a part's axes, and the selection on one of them.
    package func grid(
        of part: TensorPart
    ) throws(CheckpointError) -> (sizes: [Int], start: Int, taken: Int) {
        var sizes: [Int] = [], start = 0, count = 1
        for (index, axis) in part.dims.enumerated() {
            var runs: [Int] = []
            switch axis {
            case .extent(let extent): runs = [try length(extent)]
            case .runs(let extents): for extent in extents { runs.append(try length(extent)) }
            }
            sizes.append(runs.reduce(0, +))  // fits: each is below 2^31
            guard let taken = part.taken, taken.axis == index else { continue }
            switch taken.part {
            case .index(let position):
                guard position < sizes[index] else {
                    throw CheckpointError(
                        file: file, "asks for part \(position) of an axis of \(sizes[index]) in \(architecture.name)")
                }
                start = position
            case .run(let run):
                start = runs[..<run].reduce(0, +)  // fits: each is below 2^31
                count = runs[run]
            }
        }
        return (sizes, start, count)
    }
}
