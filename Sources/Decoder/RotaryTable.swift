internal import Kernels

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The cosines and sines of rotary embeddings, [positions, head size / 2].
struct RotaryTable: Sendable {
    private let cosines, sines: Scratch
    private let half: Int

    /// Angles are rounded to f32 as PyTorch rounds them; what is made of them is exact to f32.
    init(_ frequencies: [Double], positions: Int) {
        half = frequencies.count
        cosines = Scratch(floats: half * positions)
        sines = Scratch(floats: half * positions)
        for position in 0..<positions {
            for (place, frequency) in frequencies.enumerated() {
                let angle = Double(Float(position) * Float(frequency))
                cosines.floats[position * half + place] = Float(cos(angle))
                sines.floats[position * half + place] = Float(sin(angle))
            }
        }
    }

    func cosine(_ position: Int) -> UnsafePointer<Float> { UnsafePointer(cosines.floats + position * half) }
    func sine(_ position: Int) -> UnsafePointer<Float> { UnsafePointer(sines.floats + position * half) }
}
