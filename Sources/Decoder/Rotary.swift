internal import CKernels
internal import Kernels
internal import Parallel

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// A rotary embedding: its frequencies, and which elements of a head are rotated together.
struct Rotary: Sendable, Equatable {
    /// In radians for each position; half as many as a head has elements.
    let frequencies: [Double]
    /// Whether neighbouring elements form a pair; else elements at a distance of half a head.
    let interleaves: Bool

    /// Rotates rows of heads in place, row r as position `first + r % length`; the length is that of the table by default.
    func apply(
        to values: UnsafeMutablePointer<Float>, rows: Int, heads: Int, _ table: RotaryTable, from first: Int = 0,
        length: Int? = nil, threads: Int
    ) {
        let length = length ?? table.positions
        let size = 2 * frequencies.count
        let rotate = interleaves ? resect_rotate_pairs : resect_rotate_halves
        nonisolated(unsafe) let values = values
        Parallel.forEachRow(rows, workers: threads) { row in
            let position = first + row % length
            for head in 0..<heads {
                rotate(values + (row * heads + head) * size, table.cosine(position), table.sine(position), size)
            }
        }
    }
}

/// The cosines and sines of rotary embeddings, [positions, head size / 2].
struct RotaryTable: Sendable {
    /// How many positions there are.
    let positions: Int
    private let cosines, sines: Scratch
    private let half: Int

    /// Angles are rounded to f32 as in PyTorch; their sines and cosines are exact to f32.
    init(_ frequencies: [Double], positions: Int) {
        self.positions = positions
        half = frequencies.count
        cosines = Scratch(floats: half * positions)
        sines = Scratch(floats: half * positions)
        for position in 0..<positions {
            for (index, frequency) in frequencies.enumerated() {
                let angle = Double(Float(position) * Float(frequency))
                cosines.floats[position * half + index] = Float(cos(angle))
                sines.floats[position * half + index] = Float(sin(angle))
            }
        }
    }

    /// The table of the opposite angles, which takes a rotation back: the backward pass of a rotation.
    func opposite() -> RotaryTable { RotaryTable(self) }

    private init(_ other: RotaryTable) {
        positions = other.positions
        half = other.half
        cosines = other.cosines
        sines = Scratch(floats: half * positions)
        for index in 0..<half * positions { sines.floats[index] = -other.sines.floats[index] }
    }

    func cosine(_ position: Int) -> UnsafePointer<Float> { UnsafePointer(cosines.floats + position * half) }
    func sine(_ position: Int) -> UnsafePointer<Float> { UnsafePointer(sines.floats + position * half) }
}
