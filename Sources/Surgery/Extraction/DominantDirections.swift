internal import Checkpoints
internal import Kernels

/// A search for the right singular vectors of a difference `D` with the largest singular values.
///
/// A randomized block Lanczos method: from random directions with a fixed seed it builds an orthonormal basis of the spaces
/// that powers of `D' D` reach, one block of directions for each pass over the weights. `D' D` within the basis is a small
/// matrix, whose eigenvalues are the squared singular values. The search ends when another block adds less than a millionth
/// of the squared norm, so that slowly decaying values take more passes than fast ones.
struct DominantDirections {
    /// The sum of all squared elements of the difference.
    private(set) var squares = 0.0

    private let difference: WeightDifference
    private let ranks: RankChoice
    private let threads: Int
    /// Directions in a block.
    private let width: Int
    /// The most directions in the basis.
    private let limit: Int
    private var basis: [DoubleMatrix] = []
    /// `Q_i' D' D Q_j` for all pairs of blocks with i at most j, under j.
    private var projected: [[DoubleMatrix]] = []
    /// The size of the basis at which the small matrix is decomposed again; every decomposition takes longer than the
    /// one before.
    private var nextLook = 0

    /// The least share of the squared norm that another block has to add.
    private static let tolerance = 1e-6
    /// The share of the squared norm below which everything is rounding error.
    private static let roundingShare = 1e-13
    private static let mostBlocks = 16
    private static let seed: UInt64 = 0x7265_7365_6374

    init(_ difference: WeightDifference, ranks: RankChoice, threads: Int) {
        (self.difference, self.ranks, self.threads) = (difference, ranks, threads)
        // Eight more directions than the rank make up for unlucky random ones; wider blocks would make the basis large.
        width = min(difference.columns, (min(ranks.highest, ranks.energy == nil ? 64 : 32) + 8 + 7) / 8 * 8)
        let enough = max(DominantDirections.mostBlocks * width, ranks.highest + 8 * width)
        // The first block need not lie in the row space of the difference; the rest does.
        limit = min(difference.columns, difference.rows + width, enough)
    }

    /// The directions, [columns, rank]; `nil` when the difference is zero.
    mutating func directions() throws(CheckpointError) -> DoubleMatrix? {
        var block = DominantDirections.random(rows: difference.columns, columns: width)
            .factoredQR(threads: threads).q
        var size = 0, before: [Double] = []
        while true {
            let pass = try difference.pass(block, returns: true, threads: threads)
            squares = pass.squares
            guard squares > 0 else { return nil }
            basis.append(block)
            size += block.columns
            projected.append(
                basis.map { other in
                    let result = DoubleMatrix(rows: other.columns, columns: block.columns)
                    result.add(other, transposed: true, pass.returned, threads: threads)
                    return result
                })
            let isLast = size >= limit || missing <= DominantDirections.roundingShare * squares
            if isLast || isWorthLooking(size: size) {
                let small = SmallSVD(projectedMatrix(size: size))
                let count = ranks.count(of: small.values, total: squares)
                let (sum, sumBefore) = (small.values[..<count].total, before.prefix(count).total)
                if isLast || sum - sumBefore <= DominantDirections.tolerance * squares {
                    return try directions(small, count: count, sum: sum)
                }
                before = small.values
                nextLook = size + size / 8
            }
            block = nextBlock(pass.returned, width: min(width, limit - size))
        }
    }

    /// The squared norm outside the basis.
    private var missing: Double {
        var held = 0.0
        for blocks in projected {
            if let last = blocks.last { for index in 0..<last.columns { held += last[index, index] } }
        }
        return squares - held
    }

    /// Whether the rank can be determined: the basis holds the requested share, or more directions than the highest
    /// rank.
    private func isWorthLooking(size: Int) -> Bool {
        guard size >= nextLook else { return false }
        if size >= ranks.highest + 8 { return true }
        guard let energy = ranks.energy else { return false }
        return missing <= (1 - energy) * squares
    }

    /// `D' D` within the basis.
    private func projectedMatrix(size: Int) -> DoubleMatrix {
        let result = DoubleMatrix(rows: size, columns: size)
        var start = 0
        for blocks in projected {
            var first = 0
            for block in blocks {
                for row in 0..<block.rows {
                    for column in 0..<block.columns {
                        result[first + row, start + column] = block[row, column]
                        result[start + column, first + row] = block[row, column]
                    }
                }
                first += block.rows
            }
            start += blocks.last?.columns ?? 0
        }
        return result
    }

    /// The part of `D' D Q` outside the basis, made orthonormal.
    private func nextBlock(_ returned: DoubleMatrix, width: Int) -> DoubleMatrix {
        let next = DoubleMatrix(rows: returned.rows, columns: width)
        for row in 0..<next.rows { next.row(row).update(from: returned.row(row), count: width) }
        removeBasis(from: next)
        var block = next.factoredQR(threads: threads).q
        // Directions that were nearly inside the basis are mostly rounding; what is left of them is made orthogonal again.
        for _ in 0..<2 {
            removeBasis(from: block)
            block = block.factoredQR(threads: threads).q
        }
        return block
    }

    private func removeBasis(from block: DoubleMatrix) {
        for other in basis {
            let parts = DoubleMatrix(rows: other.columns, columns: block.columns)
            parts.add(other, transposed: true, block, threads: threads)
            parts.negate()
            block.add(other, parts, threads: threads)
        }
    }

    /// The eigenvectors of the small matrix with the largest eigenvalues, as directions of the difference's columns.
    ///
    /// - Throws: when they do not hold the requested share.
    private func directions(_ small: SmallSVD, count: Int, sum: Double) throws(CheckpointError) -> DoubleMatrix {
        if let energy = ranks.energy, !ranks.allowsLess, sum < energy * squares {
            throw CheckpointError(
                file: difference.tuned.file, tensor: difference.tuned.tensor.name,
                "needs a rank above \(count) to hold \(energy) of the squared norm of its difference; rank \(count) holds "
                    + "\((sum / squares * 1000).rounded(.down) / 1000)",
                hint: "--rank \(RankChoice.highestByEnergy) caps the rank, and holds less")
        }
        // An eigenvalue below this is rounding error, and its vector may be any direction.
        let least = (small.values.first ?? 0) * 1e-14
        let most = min(count, difference.rows, difference.columns)
        let rank = max(1, small.values.prefix(most).count { $0 > least })
        let result = DoubleMatrix(rows: difference.columns, columns: rank)
        var start = 0
        for block in basis {
            let part = DoubleMatrix(rows: block.columns, columns: rank)
            for row in 0..<block.columns {
                for column in 0..<rank { part[row, column] = small.vectors[column, start + row] }
            }
            result.add(block, part, threads: threads)
            start += block.columns
        }
        return result
    }

    /// Uniform random numbers from -1 to 1 (SplitMix64), the same everywhere.
    private static func random(rows: Int, columns: Int) -> DoubleMatrix {
        let result = DoubleMatrix(rows: rows, columns: columns)
        var state = seed
        for row in 0..<rows {
            for column in 0..<columns {
                state &+= 0x9E37_79B9_7F4A_7C15
                var mixed = state
                mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
                mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
                mixed ^= mixed >> 31
                result[row, column] = Double(mixed >> 11) * 0x1p-52 - 1
            }
        }
        return result
    }
}

extension Sequence<Double> {
    fileprivate var total: Double { reduce(0, +) }
}
