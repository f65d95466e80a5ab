internal import Checkpoints
internal import Decoder
internal import Weights

/// Sums over tokens from which the weight of a norm behind a product follows, and the error that any weight leaves.
///
/// The result of the norm is linear in its weight g, channel by channel: with n the normed product and t what is wanted without
/// the norm's bias, the squared error is the sum of `t^2 - 2 g n t + g^2 n^2`.
struct NormSums {
    /// The sums of n^2 and of n t, by channel.
    private var squares, products: [Double]
    /// The sum of t^2.
    private var wanted = 0.0

    init(channels: Int) {
        squares = Array(repeating: 0, count: channels)
        products = squares
    }

    /// Adds rows of n and t.
    mutating func add(_ normed: UnsafePointer<Float>, _ target: UnsafePointer<Float>, rows: Int) {
        let width = squares.count
        squares.withUnsafeMutableBufferPointer { squares in
            products.withUnsafeMutableBufferPointer { products in
                for row in 0..<rows {
                    for column in 0..<width {
                        let (n, t) = (Double(normed[row * width + column]), Double(target[row * width + column]))
                        squares[column] += n * n
                        products[column] += n * t
                        wanted += t * t
                    }
                }
            }
        }
    }

    /// The squared error that a weight leaves.
    func error(of weight: [Float]) -> Double {
        var sum = wanted
        for (column, value) in weight.enumerated() {
            let g = Double(value)
            sum += g * (g * squares[column] - 2 * products[column])
        }
        return sum
    }

    /// The weight with the least error, held to what it was by a ridge: a multiple of the mean of the sums of n^2.
    func solved(from weight: [Float], ridge: Double) -> [Float] {
        let mean = squares.reduce(0, +) / Double(max(1, squares.count))
        guard mean > 0, mean.isFinite else { return weight }
        return weight.enumerated().map { column, value in
            let missing = products[column] - Double(value) * squares[column]
            return value + Float(missing / (squares[column] + ridge * mean))
        }
    }
}
