internal import CKernels

/// The instruction sets that one binary holds kernels for.
public enum InstructionSet: Int32, CaseIterable, Sendable, Comparable {
    case baseline, v3, v4

    /// The best one that this machine runs.
    public static let best = InstructionSet(rawValue: resect_best_level()) ?? .baseline

    /// Those that this machine runs.
    public static var available: [InstructionSet] { allCases.filter { $0 <= best } }

    /// Whether one is older than the other.
    public static func < (a: InstructionSet, b: InstructionSet) -> Bool { a.rawValue < b.rawValue }
}
