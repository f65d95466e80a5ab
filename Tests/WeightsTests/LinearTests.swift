import Checkpoints
import Formats
import Kernels
import Testing
import TestSupport
import Weights

/// Whole numbers are small and scales are powers of two, so that every sum is exact in f32.
@Suite("linear maps")
struct LinearTests {
    /// A map with all its parts as plain numbers.
    struct Sample {
        var inputs = 6, outputs = 7, rank = 3, rows = 5
        var hasAdapter = true
        let scale: Float = 0.5
        var weight, bias, a, b, x, gradient: [Float]

        init(_ rows: Int, inputs: Int, outputs: Int, rank: Int, hasAdapter: Bool = true) {
            var random = SeededGenerator(seed: UInt64(rows + inputs + outputs))
            func numbers(_ count: Int) -> [Float] {
                (0..<count).map { _ in Float(Int.random(in: -2...2, using: &random)) }
            }
            (self.rows, self.inputs, self.outputs, self.rank) = (rows, inputs, outputs, rank)
            self.hasAdapter = hasAdapter
            weight = numbers(inputs * outputs)
            bias = numbers(outputs)
            a = numbers(rank * inputs)
            b = numbers(outputs * rank)
            x = numbers(rows * inputs)
            gradient = numbers(rows * outputs)
        }

        var linear: Linear {
            Linear(
                Tensor("w", [outputs, inputs], weight), bias: Tensor("bias", [outputs], bias),
                adapter: hasAdapter
                    ? .init(a: Tensor("a", [rank, inputs], a), b: Tensor("b", [outputs, rank], b), scale: scale) : nil)
        }

        /// The weight and the adapter as one matrix, [outputs, inputs].
        var merged: [Float] {
            guard hasAdapter else { return weight }
            var result = weight
            for output in 0..<outputs {
                for input in 0..<inputs {
                    let sum = (0..<rank).reduce(Float(0)) { $0 + b[output * rank + $1] * a[$1 * inputs + input] }
                    result[output * inputs + input] += scale * sum
                }
            }
            return result
        }

        func operand(threads: Int = 1) -> (memory: Scratch, operand: MatrixOperand) {
            let memory = Scratch(x)
            return (memory, MatrixOperand(memory.floats, rows: rows, columns: inputs, bf16: nil, threads: threads))
        }

        func applied(threads: Int = 1) throws -> [Float] {
            let (memory, operand) = operand(threads: threads)
            let output = Scratch(floats: rows * outputs)
            try Linear.apply(
                [Linear.Target(linear, output.floats)], to: operand, buffers: LinearBuffers(threads: threads))
            withExtendedLifetime(memory) {}
            return output.array(rows * outputs)
        }

        /// A loss whose gradient with respect to the result is `gradient`.
        func loss() throws -> Float { zip(try applied(), gradient).reduce(0) { $0 + $1.0 * $1.1 } }

        /// What a loss grows by when each number grows by one: its derivative, as it is linear in each of them.
        func differences(_ path: WritableKeyPath<Sample, [Float]>) throws -> [Float] {
            let before = try loss()
            return try self[keyPath: path].indices.map { index in
                var changed = self
                changed[keyPath: path][index] += 1
                return try changed.loss() - before
            }
        }
    }

    static let samples = [
        Sample(5, inputs: 6, outputs: 7, rank: 3), Sample(1, inputs: 33, outputs: 70, rank: 1),
        Sample(3, inputs: 2500, outputs: 500, rank: 4), Sample(530, inputs: 40, outputs: 31, rank: 2),
        Sample(4, inputs: 64, outputs: 96, rank: 8, hasAdapter: false),
    ]

    @Test("x W' + b + scale (x A') B'", arguments: samples.indices, 1...3)
    func applied(number: Int, threads: Int) throws {
        let sample = LinearTests.samples[number]
        let (merged, found) = (sample.merged, try sample.applied(threads: threads))
        for row in 0..<sample.rows {
            for output in 0..<sample.outputs {
                let sum = (0..<sample.inputs).reduce(sample.bias[output]) {
                    $0 + sample.x[row * sample.inputs + $1] * merged[output * sample.inputs + $1]
                }
                #expect(found[row * sample.outputs + output] == sum)
            }
        }
    }

    @Test("maps that share their operand, one of which adds to what is there")
    func shared() throws {
        let (first, other) = (Sample(5, inputs: 48, outputs: 33, rank: 2), Sample(5, inputs: 48, outputs: 40, rank: 3))
        var second = other
        second.x = first.x
        let (memory, operand) = first.operand()
        let outputs = (Scratch(floats: 5 * 33), Scratch([Float](repeating: 100, count: 5 * 40)))
        try Linear.apply(
            [
                Linear.Target(first.linear, outputs.0.floats),
                Linear.Target(second.linear, outputs.1.floats, accumulates: true),
            ], to: operand, buffers: LinearBuffers(threads: 2))
        withExtendedLifetime(memory) {}
        #expect(try outputs.0.array(5 * 33) == first.applied())
        #expect(try outputs.1.array(5 * 40) == second.applied().map { $0 + 100 })
    }

    @Test("the gradient of the operand is the finite difference")
    func operandDifferences() throws {
        for sample in [LinearTests.samples[0], Sample(2, inputs: 5, outputs: 40, rank: 1, hasAdapter: false)] {
            let output = Scratch(floats: sample.x.count)
            let gradient = Scratch(sample.gradient)
            try sample.linear.applyBackward(gradient.floats, rows: sample.rows, into: output.floats, threads: 1)
            withExtendedLifetime(gradient) {}
            #expect(try output.array(sample.x.count) == sample.differences(\.x))
        }
    }

    @Test("the gradients of an adapter are the finite differences, and add up")
    func adapterDifferences() throws {
        let sample = LinearTests.samples[0]
        let sum = AdapterGradient(sample.linear, rank: sample.rank)
        let (memory, operand) = sample.operand()
        let gradient = Scratch(sample.gradient)
        for times in 1...2 {
            try sample.linear.addAdapterGradient(
                gradient.floats, operand: operand, to: sum, buffers: LinearBuffers(threads: 1))
            #expect(try sum.a.array(sample.a.count) == sample.differences(\.a).map { $0 * Float(times) })
            #expect(try sum.b.array(sample.b.count) == sample.differences(\.b).map { $0 * Float(times) })
        }
        withExtendedLifetime(memory) {}
    }

    @Test("gradients of larger maps against sums that are written out", arguments: samples.indices, 1...3)
    func backward(number: Int, threads: Int) throws {
        let sample = LinearTests.samples[number]
        let (merged, gradient) = (sample.merged, Scratch(sample.gradient))
        let output = Scratch([Float](repeating: 3, count: sample.x.count))
        try sample.linear.applyBackward(
            gradient.floats, rows: sample.rows, into: output.floats, accumulates: true, threads: threads)
        let found = output.array(sample.x.count)
        for row in 0..<sample.rows {
            for input in 0..<sample.inputs {
                let sum = (0..<sample.outputs).reduce(Float(3)) {
                    $0 + sample.gradient[row * sample.outputs + $1] * merged[$1 * sample.inputs + input]
                }
                #expect(found[row * sample.inputs + input] == sum)
            }
        }
        guard sample.hasAdapter else { return }
        let sum = AdapterGradient(sample.linear, rank: sample.rank)
        let (memory, operand) = sample.operand(threads: threads)
        try sample.linear.addAdapterGradient(
            gradient.floats, operand: operand, to: sum, buffers: LinearBuffers(threads: threads))
        withExtendedLifetime((memory, gradient)) {}
        let whole = sample.gradientOfWeight
        for index in 0..<sample.rank {
            for input in 0..<sample.inputs {
                let expected = (0..<sample.outputs).reduce(Float(0)) {
                    $0 + sample.b[$1 * sample.rank + index] * whole[$1 * sample.inputs + input]
                }
                #expect(sum.a.floats[index * sample.inputs + input] == sample.scale * expected)
            }
            for output in 0..<sample.outputs {
                let expected = (0..<sample.inputs).reduce(Float(0)) {
                    $0 + sample.a[index * sample.inputs + $1] * whole[output * sample.inputs + $1]
                }
                #expect(sum.b.floats[output * sample.rank + index] == sample.scale * expected)
            }
        }
    }

    @Test("weights of any type, decoded", arguments: TensorValuesTests.types)
    func types(dtype: DType) throws {
        var random = SeededGenerator(seed: 2)
        let weight = Tensor("w", [40, 256], random.floats(40 * 256), as: dtype)
        let (values, gradient) = (try weight.floats(), random.floats(3 * 40))
        let (memory, output) = (Scratch(gradient), Scratch(floats: 3 * 256))
        try Linear(weight).applyBackward(memory.floats, rows: 3, into: output.floats, threads: 2)
        withExtendedLifetime(memory) {}
        for row in 0..<3 {
            for input in 0..<256 {
                let sum = (0..<40).reduce(0.0) {
                    $0 + Double(gradient[row * 40 + $1]) * Double(values[$1 * 256 + input])
                }
                #expect(abs(Double(output.floats[row * 256 + input]) - sum) < 1e-4)
            }
        }
    }
}

extension LinearTests.Sample {
    /// dY' x, the gradient of the whole weight.
    var gradientOfWeight: [Float] {
        var result = [Float](repeating: 0, count: outputs * inputs)
        for row in 0..<rows {
            for output in 0..<outputs {
                for input in 0..<inputs {
                    result[output * inputs + input] += gradient[row * outputs + output] * x[row * inputs + input]
                }
            }
        }
        return result
    }
}

extension Scratch {
    convenience init(_ values: [Float]) {
        self.init(floats: values.count)
        floats.update(from: values, count: values.count)
    }

    func array(_ count: Int) -> [Float] { Array(UnsafeBufferPointer(start: floats, count: count)) }
}
