import Checkpoints
import Decoder
import Kernels
import TestSupport
import Weights

/// Adapters of a model in memory, with the gradients of a pass.
struct AdaptedModel {
    let base: DecoderModel
    var a: [AdapterPosition: [Float]] = [:]
    var b: [AdapterPosition: [Float]] = [:]
    let rank: Int
    let scale: Float
    var dropout: Double = 0

    static let roles = ProductRole.allCases.filter { $0 != .output }

    init(_ base: DecoderModel, rank: Int, scale: Float) {
        (self.base, self.rank, self.scale) = (base, rank, scale)
    }

    /// Random matrices for some products of some layers.
    init(
        _ base: DecoderModel, rank: Int, scale: Float, layers: Range<Int>, roles: [ProductRole] = roles,
        seed: UInt64 = 5
    ) {
        self.init(base, rank: rank, scale: scale)
        var random = SeededGenerator(seed: seed)
        for layer in layers {
            for role in roles {
                let position = AdapterPosition(layer: layer, role: role)
                guard let linear = base.linear(position) else { continue }
                a[position] = random.floats(rank * linear.inputs, scale: 0.2)
                b[position] = random.floats(rank * linear.outputs, scale: 0.2)
            }
        }
    }

    var positions: [AdapterPosition] { a.keys.sorted() }

    /// The model with the matrices as they are now.
    var model: DecoderModel {
        base.adapted { position in
            guard let a = a[position], let b = b[position] else { return nil }
            let (left, right) = (Scratch(floats: a.count), Scratch(floats: b.count))
            left.floats.update(from: a, count: a.count)
            right.floats.update(from: b, count: b.count)
            let key = UInt64(position.layer * 16 + (AdaptedModel.roles.firstIndex(of: position.role) ?? 0))
            return Linear.Adapter(
                a: Tensor(name: "a", rows: rank, columns: a.count / rank, values: left),
                b: Tensor(name: "b", rows: b.count / rank, columns: rank, values: right), scale: scale,
                dropout: dropout > 0 ? Dropout(rate: dropout, key: key) : nil)
        }
    }

    enum Loss: String, CaseIterable {
        case text, classes, stream
    }

    /// Losses over contexts, with the model without adapters as the teacher.
    struct Teacher {
        let classes: TokenClasses
        let states: [Float]

        init(_ base: DecoderModel, _ contexts: [[Int32]], threads: Int = 2) throws {
            let pass = try ForwardPass(base, contexts: contexts, precision: .f32, threads: threads)
            while pass.layer < base.plan.layers.count { try pass.advance() }
            let output = OutputLoss(base, threads: threads)
            let rows = Array(0..<contexts.count * contexts[0].count)
            classes = try output.likeliest(8, rows: rows, states: pass.states)
            states = try output.normedStates(rows: rows, states: pass.states)
        }
    }

    /// The mean loss and the gradients of A and B.
    func gradients(
        _ loss: Loss, _ contexts: [[Int32]], _ teacher: Teacher, memory: Int = 0, threads: Int
    ) throws -> (loss: Double, a: [AdapterPosition: [Float]], b: [AdapterPosition: [Float]]) {
        let model = model
        var sums: [AdapterPosition: AdapterGradient] = [:]
        for position in positions {
            if let linear = model.linear(position) { sums[position] = AdapterGradient(linear, rank: rank) }
        }
        let pass = TrainingPass(
            model, contextLength: contexts[0].count, contextCount: contexts.count, memory: memory,
            threads: threads)
        let output = OutputLoss(model, threads: threads)
        let text = TokenClasses(following: contexts)
        let value = try pass.run(model, contexts, addingTo: sums) { (states, gradient) throws(CheckpointError) in
            switch loss {
            case .text, .classes:
                let classes = loss == .text ? text : teacher.classes
                let factor = 1 / Double(classes.rows.count)
                return try output.divergence(from: classes, states: states, gradient: gradient, factor: factor) * factor
            case .stream:
                let factor = 1 / Double(contexts.count * contexts[0].count)
                return try output.distance(
                    from: teacher.states, rows: contexts.count * contexts[0].count, states: states,
                    gradient: gradient, factor: factor) * factor
            }
        }
        func list(_ scratch: Scratch, _ count: Int) -> [Float] {
            Array(UnsafeBufferPointer(start: scratch.floats, count: count))
        }
        return (
            value,
            Dictionary(uniqueKeysWithValues: sums.map { ($0, list($1.a, a[$0]?.count ?? 0)) }),
            Dictionary(uniqueKeysWithValues: sums.map { ($0, list($1.b, b[$0]?.count ?? 0)) })
        )
    }
}
