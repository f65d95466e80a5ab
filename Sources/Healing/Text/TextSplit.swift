/// Which contexts of which kinds make up each part.
///
/// Within a kind the contexts for choosing and for ranking are neighbours, so that they come from other pages than
/// those that are fitted. The kinds take turns in every part; a kind that has no more leaves its turn to the others.
package struct TextSplit: Sendable {
    /// A context of a kind.
    package struct Place: Hashable, Sendable {
        /// The index of the kind.
        package let kind: Int
        /// The index of the context in its kind.
        package let context: Int
    }

    /// Contexts that rank.
    package let ranking: [Place]
    /// Contexts that are fitted, then those that are only trained on. More of them leave the first ones as they are.
    package let changing: [Place]
    /// Contexts that choose.
    package let choosing: [Place]

    /// A split of kinds with so many contexts; `nil` when there are too few for one context in each part.
    ///
    /// - Parameter heldOut: the kind that only chooses.
    package init?(counts: [Int], heldOut: Int?, sizes: HealingText.Sizes, seed: UInt64) {
        var random = SplitGenerator(state: seed)
        // Each kind as a ring that is entered at a random context.
        var left = counts.map { count -> [Int] in
            let start = count > 0 ? random.below(count) : 0
            return Array(start..<count) + Array(0..<start)
        }
        func take(_ wanted: Int, from kinds: [Int]) -> [[Int]] {
            let shares = TextSplit.shares(
                of: wanted, among: left.indices.map { kinds.contains($0) ? left[$0].count : 0 })
            return left.indices.map { kind in
                let taken = Array(left[kind].prefix(shares[kind]))
                left[kind].removeFirst(shares[kind])
                return taken
            }
        }
        let fitted = counts.indices.filter { $0 != heldOut }
        let total = fitted.reduce(0) { $0 + counts[$1] }
        let most = max(1, total / 8)
        let choosers = heldOut.map { min(sizes.choosing, counts[$0]) } ?? min(sizes.choosing, most)
        let rankers = min(max(0, sizes.ranking), most)
        guard choosers > 0, total > rankers + (heldOut == nil ? choosers : 0) else { return nil }
        choosing = TextSplit.inTurn(take(choosers, from: heldOut.map { [$0] } ?? fitted))
        ranking = TextSplit.inTurn(take(rankers, from: fitted))
        for kind in left.indices { random.shuffle(&left[kind]) }
        changing = TextSplit.inTurn(take(sizes.changing, from: fitted))
    }

    /// Shares of a number that are as equal as what is there allows.
    static func shares(of wanted: Int, among available: [Int]) -> [Int] {
        var shares = available.map { _ in 0 }
        var rest = min(wanted, available.reduce(0, +))
        while rest > 0 {
            let open = available.indices.filter { shares[$0] < available[$0] }
            let each = max(1, rest / open.count)
            for kind in open where rest > 0 {
                let more = min(each, rest, available[kind] - shares[kind])
                shares[kind] += more
                rest -= more
            }
        }
        return shares
    }

    /// The contexts of all kinds, one of each in turn.
    static func inTurn(_ contexts: [[Int]]) -> [Place] {
        let longest = contexts.map(\.count).max() ?? 0
        return (0..<longest).flatMap { round in
            contexts.indices.compactMap { kind in
                round < contexts[kind].count ? Place(kind: kind, context: contexts[kind][round]) : nil
            }
        }
    }

    /// The kind that is held out when there are three or more: the last of resect's own, else the last one given that
    /// fills the part for choosing.
    static func heldOut(_ kinds: [KindOfText], choosing: Int) -> Int? {
        guard kinds.count >= 3 else { return nil }
        if let builtin = kinds.lastIndex(where: \.isBuiltin) { return builtin }
        return kinds.lastIndex { $0.contexts.count >= choosing }
            ?? kinds.indices.max { kinds[$0].contexts.count < kinds[$1].contexts.count }
    }
}

/// Random numbers that depend on the seed alone (SplitMix64), and a shuffle that does not change with the library.
struct SplitGenerator {
    var state: UInt64

    mutating func below(_ limit: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Int(SplitGenerator.mixed(state).multipliedFullWidth(by: UInt64(limit)).high)
    }

    mutating func shuffle(_ values: inout [Int]) {
        for last in values.indices.dropFirst().reversed() { values.swapAt(last, below(last + 1)) }
    }

    static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
