internal import Checkpoints
internal import Decoder
internal import Kernels
internal import Weights

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The matrices A and B of all adapters, with what AdamW keeps of them.
final class TrainedMatrices: Sendable {
    /// One matrix.
    struct Matrix: Sendable {
        let rows, columns: Int
        let values: Scratch
        /// The running means of the gradient and of its square.
        let mean, square: Scratch

        var count: Int { rows * columns }

        init(_ rows: Int, _ columns: Int) {
            (self.rows, self.columns) = (rows, columns)
            values = Scratch(floats: rows * columns)
            mean = Scratch(floats: rows * columns)
            square = Scratch(floats: rows * columns)
            for memory in [values, mean, square] { memory.floats.update(repeating: 0, count: rows * columns) }
        }
    }

    /// The adapter of one product.
    struct Pair: Sendable {
        let position: AdapterPosition
        /// A, [rank, inputs].
        let a: Matrix
        /// B, [outputs, rank].
        let b: Matrix
        let gradient: AdapterGradient
    }

    /// The adapters, from the first layer to the last.
    let pairs: [Pair]
    private let settings: TrainingSettings

    /// New matrices: A uniform within one by the root of its columns, as PEFT begins, and B zero.
    init(_ model: DecoderModel, _ settings: TrainingSettings) {
        self.settings = settings
        var pairs: [Pair] = []
        for layer in 0..<model.layerCount {
            for role in settings.targets.map(\.role).sorted(by: {
                AdapterPosition(layer: 0, role: $0) < .init(layer: 0, role: $1)
            }) {
                let position = AdapterPosition(layer: layer, role: role)
                guard let linear = model.linear(position) else { continue }
                let pair = Pair(
                    position: position, a: Matrix(settings.rank, linear.inputs),
                    b: Matrix(linear.outputs, settings.rank),
                    gradient: AdapterGradient(linear, rank: settings.rank))
                var numbers = SeededNumbers(seed: settings.seed, 0, pairs.count)
                let bound = 1 / Float(linear.inputs).squareRoot()
                for index in 0..<pair.a.count { pair.a.values.floats[index] = bound * numbers.unit() }
                pairs.append(pair)
            }
        }
        self.pairs = pairs
    }

    /// All matrices, each A before its B.
    var matrices: [Matrix] { pairs.flatMap { [$0.a, $0.b] } }

    /// Where gradients are added up.
    var gradients: [AdapterPosition: AdapterGradient] {
        Dictionary(uniqueKeysWithValues: pairs.map { ($0.position, $0.gradient) })
    }

    /// The model with the adapters as they are now; they are read whenever a product is computed.
    ///
    /// - Parameter key: what dropout depends on; `nil` without dropout.
    func adapted(_ model: DecoderModel, dropoutKey key: ((Int) -> UInt64)? = nil) -> DecoderModel {
        let scale = Float(settings.alpha / Double(settings.rank))
        var adapters: [AdapterPosition: Linear.Adapter] = [:]
        for (index, pair) in pairs.enumerated() {
            var dropout: Dropout?
            if let key, settings.dropout > 0 { dropout = Dropout(rate: settings.dropout, key: key(index)) }
            adapters[pair.position] = Linear.Adapter(
                a: Tensor(name: "lora_A", rows: pair.a.rows, columns: pair.a.columns, values: pair.a.values),
                b: Tensor(name: "lora_B", rows: pair.b.rows, columns: pair.b.columns, values: pair.b.values),
                scale: scale, dropout: dropout)
        }
        return model.adapted { adapters[$0] }
    }

    /// The Euclidean norm of all gradients together.
    var gradientNorm: Double {
        var sum = 0.0
        for pair in pairs {
            for (matrix, gradient) in [(pair.a, pair.gradient.a), (pair.b, pair.gradient.b)] {
                for index in 0..<matrix.count { sum += Double(gradient.floats[index]) * Double(gradient.floats[index]) }
            }
        }
        return sum.squareRoot()
    }

    /// One step of AdamW with the gradients, times a factor.
    ///
    /// - Parameter step: counted from 0.
    func update(step: Int, factor: Float) {
        let rate = settings.rate(at: step)
        let first = 0.9, second = 0.999
        let size = Float(rate / (1 - pow(first, Double(step + 1))))
        let root = Float((1 - pow(second, Double(step + 1))).squareRoot())
        let decay = Float(1 - rate * settings.weightDecay)
        for pair in pairs {
            for (matrix, gradient) in [(pair.a, pair.gradient.a), (pair.b, pair.gradient.b)] {
                let (values, mean, square) = (matrix.values.floats, matrix.mean.floats, matrix.square.floats)
                for index in 0..<matrix.count {
                    let slope = factor * gradient.floats[index]
                    mean[index] += Float(1 - first) * (slope - mean[index])
                    square[index] = Float(second) * square[index] + Float(1 - second) * slope * slope
                    let change = mean[index] / (square[index].squareRoot() / root + 1e-8)
                    values[index] = decay * values[index] - size * change
                }
            }
        }
    }

    /// A copy of the values of all matrices.
    func copied() -> [Scratch] {
        matrices.map { matrix in
            let copy = Scratch(floats: matrix.count)
            copy.floats.update(from: matrix.values.floats, count: matrix.count)
            return copy
        }
    }

    /// Puts values back.
    func restore(_ values: [Scratch]) {
        for (matrix, values) in zip(matrices, values) {
            matrix.values.floats.update(from: values.floats, count: matrix.count)
        }
    }
}

extension TrainingSettings.Target {
    /// The product that it names.
    var role: ProductRole {
        switch self {
        case .query: .query
        case .key: .key
        case .value: .value
        case .attentionOutput: .attentionOutput
        case .gate: .gate
        case .up: .up
        case .down: .down
        }
    }
}
