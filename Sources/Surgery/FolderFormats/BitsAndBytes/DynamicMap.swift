internal import Kernels

/// bitsandbytes' signed dynamic 8-bit type, which double quantization uses for block scales.
enum DynamicMap {
    /// Number of values that share a scale.
    static let block = 256

    /// The value of each code, ascending: seven decades, each with twice as many steps as the decade below.
    static let values: [Float] = {
        var values: [Float] = [0, 1]
        for decade in 0..<7 {
            let steps = 1 << decade
            let factor = Float(power(ofTen: decade - 6))
            let bounds = (0...steps).map { evenStep($0, of: steps) }
            for (low, high) in zip(bounds, bounds.dropFirst()) {
                let middle = factor * ((low + high) / 2)
                values += [middle, -middle]
            }
        }
        return values.sorted()
    }()

    private static func power(ofTen exponent: Int) -> Double {
        [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1][exponent + 6]
    }

    /// Bound `number` of `steps` equal steps from 0.1 to 1, computed from the nearer end and rounded once, as
    /// torch.linspace does.
    private static func evenStep(_ number: Int, of steps: Int) -> Float {
        let step = (1 - Float(0.1)) / Float(steps)
        return number < (steps + 1) / 2
            ? Float(0.1).addingProduct(step, Float(number)) : Float(1).addingProduct(-step, Float(steps - number))
    }

    /// The codes of 65,536 values from -1 to 1; on a CPU bitsandbytes looks values up in this table.
    private static let table: [UInt8] = {
        let middles = zip(values, values.dropFirst()).map { 0.5 * ($0 + $1) }
        var code = 0
        return (0..<65536).map { index in
            let value = -1 + (2 * Float(index)) / 65535
            while code < 255, middles[code] < value { code += 1 }
            return UInt8(code)
        }
    }()

    /// Encodes one block.
    ///
    /// - Returns: the largest magnitude, which is the block's scale; NaN counts as 0.
    static func encode(_ values: UnsafeBufferPointer<Float>, into output: UnsafeMutablePointer<UInt8>) -> Float {
        var largest: Float = 0
        for value in values where largest < abs(value) { largest = abs(value) }
        let inverse = 1 / largest
        for (position, value) in values.enumerated() {
            let bounded = Swift.max(-1, Swift.min(1, value * inverse))
            let index = ((bounded + 1) * 0.5 * 65535 + 0.5)
            output[position] = largest == 0 || !index.isFinite ? 0 : table[Int(index)]
        }
        return largest
    }
}
