/// A regular expression that is looked for in the names of tensors, as llama-quantize's --tensor-type does: the part of ECMAScript's
/// that people use. The time that a search takes grows with the length of the name and of the pattern, whatever they are.
public struct NamePattern: Sendable {
    /// The pattern in small letters, which is how it is looked for.
    public let text: String
    private let program: [Instruction]

    /// One step of a search that follows all possibilities at once.
    enum Instruction: Sendable {
        /// Takes a byte of the set.
        case bytes(ByteSet)
        /// Goes on at both places.
        case fork(Int, Int)
        /// Goes on at another place.
        case jump(Int)
        /// Goes on at the end of the name, or at its start, only.
        case end, start
        /// The name matches.
        case match
    }

    /// A pattern, in any case: it is looked for in small letters.
    ///
    /// - Throws: `NamePatternError` when it is no expression, or one of a kind that is not understood.
    public init(_ text: String) throws(NamePatternError) {
        self.text = text.lowercased()
        var parser = try NamePatternParser(text)
        program = try NamePatternCompiler.program(of: parser.parse())
    }

    /// Whether the pattern is somewhere in a name.
    public func matches(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        var threads = Threads(count: program.count)
        for place in 0...bytes.count {
            threads.add(0, in: program, atStart: place == 0, atEnd: place == bytes.count)
            if threads.hasMatch { return true }
            guard place < bytes.count else { break }
            let current = threads.waiting
            threads.removeAll()
            for thread in current {
                guard case .bytes(let set) = program[thread], set.contains(bytes[place]) else { continue }
                let next = place + 1
                threads.add(thread + 1, in: program, atStart: false, atEnd: next == bytes.count)
            }
        }
        return threads.hasMatch
    }
}

/// The places of a program at which a search stands, each once.
private struct Threads {
    private(set) var waiting: [Int] = []
    private(set) var hasMatch = false
    private var isThere: [Bool]
    private var pending: [Int] = []

    init(count: Int) { isThere = Array(repeating: false, count: count) }

    mutating func removeAll() {
        waiting.removeAll(keepingCapacity: true)
        for place in isThere.indices { isThere[place] = false }
    }

    /// Adds a place, and those that are reached from it without a byte.
    mutating func add(_ place: Int, in program: [NamePattern.Instruction], atStart: Bool, atEnd: Bool) {
        pending.append(place)
        while let place = pending.popLast() {
            guard !isThere[place] else { continue }
            isThere[place] = true
            switch program[place] {
            case .bytes: waiting.append(place)
            case .fork(let a, let b): pending += [a, b]
            case .jump(let place): pending.append(place)
            case .start: if atStart { pending.append(place + 1) }
            case .end: if atEnd { pending.append(place + 1) }
            case .match: hasMatch = true
            }
        }
    }
}

/// A set of bytes.
struct ByteSet: Sendable {
    private var bits = SIMD4<UInt64>()

    init() {}

    init(_ bytes: ClosedRange<UInt8>) {
        for byte in bytes { insert(byte) }
    }

    mutating func insert(_ byte: UInt8) { bits[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }

    func contains(_ byte: UInt8) -> Bool { bits[Int(byte >> 6)] >> UInt64(byte & 63) & 1 == 1 }

    mutating func formUnion(_ other: ByteSet) { bits |= other.bits }

    var inverted: ByteSet {
        var result = self
        result.bits = ~bits
        return result
    }
}

/// Why a text is no pattern: a message without a subject.
public struct NamePatternError: Error, Equatable {
    /// The problem, in words.
    public let problem: String

    init(_ problem: String) { self.problem = problem }
}
