internal import CKernels

/// The instruction sets for which the binary has kernels: x86-64-v3 (AVX2) and x86-64-v4 (AVX-512), else the baseline.
public enum InstructionSet: Int32, CaseIterable, Sendable, Comparable {
    case baseline, v3, v4

    /// The best one that this machine runs, or the one that the environment variable `RESECT_CPU` names.
    public static let best = InstructionSet(rawValue: resect_best_level()) ?? .baseline

    /// The value of `RESECT_CPU` when it cannot be used: not an instruction set, or one that this machine lacks.
    public static var refusedRequest: String? { resect_refused_level().map { String(cString: $0) } }

    /// The instruction sets of this machine, whichever of them `RESECT_CPU` names.
    public static var available: [InstructionSet] { allCases.filter { $0.rawValue <= resect_machine_level() } }

    /// Whether one is older than the other.
    public static func < (a: InstructionSet, b: InstructionSet) -> Bool { a.rawValue < b.rawValue }
}
