internal import CKernels
internal import Checkpoints
internal import Kernels
internal import Parallel

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The rotary embeddings of a model.
struct Rotary: Sendable, Equatable {
    let main: RotaryPlan?
    /// The embedding of layers with sliding-window attention, where it differs from `main`.
    let windowed: RotaryPlan?

    /// The embeddings of a plan.
    init(_ plan: ModelPlan) { (main, windowed) = (plan.rotary, plan.windowedRotary) }

    /// The tables for the positions of a context.
    ///
    /// - Parameter contextLength: the length of the context, which some scalings depend on; `positions` by default.
    func tables(positions: Int, contextLength: Int? = nil) -> RotaryTables {
        let length = contextLength ?? positions
        return RotaryTables(
            main: main.map { RotaryTable($0, positions: positions, contextLength: length) },
            windowed: windowed.map { RotaryTable($0, positions: positions, contextLength: length) })
    }

    /// A number for each embedding: contexts with equal numbers have the same angles.
    func angleKinds(contextLength: Int) -> [Int] {
        [main, windowed].map { $0?.angleKind(contextLength: contextLength) ?? 0 }
    }

    /// Whether a context that grows has to be computed again from its first token, because its angles change.
    func restarts(from old: Int, to new: Int) -> Bool {
        [main, windowed].contains { plan in
            guard let plan, plan.restartsContexts else { return false }
            return plan.angleKind(contextLength: old) != plan.angleKind(contextLength: new)
        }
    }
}

/// The tables of all rotary embeddings of a model.
struct RotaryTables: Sendable {
    let main, windowed: RotaryTable?

    /// The table of a layer; `nil` for a layer that is not rotated.
    func table(_ use: AttentionPlan.RotaryUse?) -> RotaryTable? {
        switch use {
        case nil: nil
        case .main: main
        case .windowed: windowed
        }
    }

    /// The tables of the opposite angles.
    func opposite() -> RotaryTables { RotaryTables(main: main?.opposite(), windowed: windowed?.opposite()) }
}

/// The cosines and sines of a rotary embedding, [positions, pairs], times its magnitude.
struct RotaryTable: Sendable {
    /// How many positions there are.
    let positions: Int
    private let cosines, sines: Scratch
    private let pairs: Int
    /// Whether elements 2i and 2i + 1 form a pair; else i and i + `pairs` do.
    private let interleaves: Bool

    /// Angles are rounded to f32 as in PyTorch; their sines and cosines are exact to f32.
    init(_ plan: RotaryPlan, positions: Int, contextLength: Int) {
        let angles = plan.angles(contextLength: contextLength)
        self.positions = positions
        interleaves = plan.pairs == .neighbours
        pairs = angles.frequencies.count
        cosines = Scratch(floats: pairs * positions)
        sines = Scratch(floats: pairs * positions)
        for position in 0..<positions {
            for (index, frequency) in angles.frequencies.enumerated() {
                let angle = Double(Float(position) * Float(frequency))
                cosines.floats[position * pairs + index] = Float(cos(angle)) * angles.magnitude
                sines.floats[position * pairs + index] = Float(sin(angle)) * angles.magnitude
            }
        }
    }

    /// Rotates rows of heads in place, row r as position `first + r % length`; the length is that of the table by default.
    ///
    /// - Parameter headSize: elements of a head, of which the first ones are rotated.
    func rotate(
        _ values: UnsafeMutablePointer<Float>, rows: Int, heads: Int, headSize: Int, from first: Int = 0,
        length: Int? = nil, threads: Int
    ) {
        let length = length ?? positions
        let rotate = interleaves ? resect_rotate_pairs : resect_rotate_halves
        nonisolated(unsafe) let values = values
        Parallel.forEachRow(rows, workers: threads) { row in
            let position = first + row % length
            let cosine = UnsafePointer(cosines.floats + position * pairs)
            let sine = UnsafePointer(sines.floats + position * pairs)
            for head in 0..<heads { rotate(values + (row * heads + head) * headSize, cosine, sine, 2 * pairs) }
        }
    }

    /// The table of the opposite angles, which takes a rotation back: the backward pass of a rotation.
    func opposite() -> RotaryTable { RotaryTable(self) }

    private init(_ other: RotaryTable) {
        positions = other.positions
        pairs = other.pairs
        interleaves = other.interleaves
        cosines = other.cosines
        sines = Scratch(floats: pairs * positions)
        for index in 0..<pairs * positions { sines.floats[index] = -other.sines.floats[index] }
    }
}
