internal import Checkpoints

/// Compiles patterns to the steps of a search, which runs from the end of a name, so the last element comes first.
struct NamePatternCompiler {
    /// The largest count of a repetition.
    static let maximumCount = 255
    /// The limit for a whole pattern, since nested repetitions multiply.
    private static let maximumSteps = 10_000

    private(set) var steps: [NamePatternProgram.Instruction] = []

    /// Appends the steps of a whole pattern, and returns the index of the first.
    mutating func append(program node: NamePatternNode) throws(NamePatternError) -> Int {
        let first = steps.count
        try append(node)
        try emit(.match)
        return first
    }

    private mutating func emit(_ step: NamePatternProgram.Instruction) throws(NamePatternError) {
        guard steps.count < NamePatternCompiler.maximumSteps else {
            throw NamePatternError(
                "has more than \(NamePatternCompiler.maximumSteps.grouped) steps, including repetitions")
        }
        steps.append(step)
    }

    private mutating func append(_ node: NamePatternNode) throws(NamePatternError) {
        switch node {
        case .bytes(let set): try emit(.bytes(set))
        case .assertion(let assertion): try emit(.check(assertion))
        case .sequence(let nodes): for node in nodes.reversed() { try append(node) }
        case .choice(let nodes): try append(choice: nodes)
        case .repeated(let node, let atLeast, let atMost):
            for _ in 0..<atLeast { try append(node) }
            if let atMost {
                for _ in atLeast..<atMost {
                    try appendFork { (compiler) throws(NamePatternError) in try compiler.append(node) }
                }
            } else {
                try appendLoop(node)
            }
        }
    }

    private mutating func append(choice nodes: [NamePatternNode]) throws(NamePatternError) {
        var ends: [Int] = []
        for (rank, node) in nodes.enumerated() where rank < nodes.count - 1 {
            try appendFork { (compiler) throws(NamePatternError) in
                try compiler.append(node)
                ends.append(compiler.steps.count)
                try compiler.emit(.jump(0))
            }
        }
        if let last = nodes.last { try append(last) }
        for end in ends { steps[end] = .jump(steps.count) }
    }

    private mutating func appendLoop(_ node: NamePatternNode) throws(NamePatternError) {
        let start = steps.count
        try appendFork { (compiler) throws(NamePatternError) in
            try compiler.append(node)
            try compiler.emit(.jump(start))
        }
    }

    /// Appends optional steps.
    private mutating func appendFork(
        _ body: (inout NamePatternCompiler) throws(NamePatternError) -> Void
    ) throws(NamePatternError) {
        let fork = steps.count
        try emit(.jump(0))
        try body(&self)
        steps[fork] = .fork(fork + 1, steps.count)
    }
}
